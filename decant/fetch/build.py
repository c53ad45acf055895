"""Build a reranking set from its source: read, carve, validate, and describe it on a card."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from decant.data.files import Record, read_file
from decant.data.sets import SPLITS, Row, Split, write_split
from decant.errors import DecantError
from decant.fetch.embedded.cwe import build_cwe
from decant.fetch.embedded.icd10 import build_icd10
from decant.fetch.embedded.pydocs import build_pydocs
from decant.fetch.overlap import overlaps
from decant.fetch.readers import read_beir, read_repository
from decant.fetch.splits import carve
from decant.fetch.validation import Duplicates, Faults, validate
from decant.files import atomic_folder, sha256, write_json
from decant.sources.references import check_versions, resolve


@dataclass(frozen=True)
class SetSource:
    """Where a set comes from and what it shall hold; the fields are those of `datasets.<name>` in params."""

    source: str
    revision: str | None
    format: Literal["rows", "beir", "mteb", "icd10", "pydocs", "cwe"]
    packages: Mapping[str, str]
    splits: Mapping[str, str | None]
    sizes: Mapping[str, int | None]
    negatives: int | None
    seed: int
    duplicates: Duplicates
    max_overlap: float
    task: str


def fetch_set(name: str, spec: SetSource, folder: Path) -> dict[str, Any]:
    """Build a set and write its splits and `card.json` into `folder`, all or nothing.

    Args:
        name: of the set, for messages and the card.
        spec: where it comes from.
        folder: which is replaced.

    Returns:
        the card.

    Raises:
        DecantError: the source cannot be read, breaks the contract, or its splits overlap too much.
    """
    check_versions(spec.packages)
    splits, faults = _embedded(spec) if spec.format in ("icd10", "pydocs", "cwe") else _read(spec)
    shared = overlaps(splits)
    for pair, counts in shared.items():
        if counts["share"] > spec.max_overlap:
            raise DecantError(
                f"{name}: {counts['folded']} queries and positives ({counts['share']:.1%}) of "
                f"{pair.split('-')[1]} stand in {pair.split('-')[0]} too; datasets.{name}.max_overlap allows "
                f"{spec.max_overlap:.1%}",
                "take them out of one of the splits, let Decant carve the split (null), or raise the limit",
            )
    with atomic_folder(folder) as partial:
        for split, rows in splits.items():
            write_split(partial / f"{split}.parquet", Split(rows, spec.task))
        card = {
            "name": name,
            "source": spec.source,
            "revision": spec.revision,
            "format": spec.format,
            "packages": dict(spec.packages),
            "task": spec.task,
            "splits": {
                split: _describe(rows, faults[split], partial / f"{split}.parquet") for split, rows in splits.items()
            },
            "overlap": shared,
        }
        write_json(partial / "card.json", card)
    return card


def _describe(rows: Sequence[Row], faults: Faults, path: Path) -> dict[str, Any]:
    texts = [text for row in rows for text in (row.query, *row.candidates)]
    return {
        "queries": len(rows),
        "pairs": sum(len(row.candidates) for row in rows),
        "positives": sum(len(row.positive) for row in rows),
        "negatives": sum(len(row.negative) for row in rows),
        "unique_texts": len(set(texts)),
        **asdict(faults),
        "sha256": sha256(path),
    }


def _embedded(spec: SetSource) -> tuple[dict[str, list[Row]], dict[str, Faults]]:
    sizes = {split: size for split, size in spec.sizes.items() if size is not None}
    if sizes.keys() != set(SPLITS) or spec.negatives is None:
        raise DecantError(
            f"{spec.format}: train, dev, test and negatives must be numbers",
            "set them in the data set's block of params.yaml",
        )
    if spec.format == "pydocs":
        splits = build_pydocs(list(spec.packages), sizes, spec.negatives, spec.seed)
    else:
        build = build_icd10 if spec.format == "icd10" else build_cwe
        splits = build(resolve(spec.source), sizes, spec.negatives, spec.seed)
    checked = {split: validate(_records(split, splits[split]), spec.duplicates, labelled=True) for split in SPLITS}
    return {split: rows for split, (rows, _) in checked.items()}, {
        split: faults for split, (_, faults) in checked.items()
    }


def _records(split: str, rows: Iterable[Row]) -> Iterable[Record]:
    return (
        (f"{split}, row {number}", {"query": row.query, "positive": row.positive, "negative": row.negative})
        for number, row in enumerate(rows, start=1)
    )


def _read(spec: SetSource) -> tuple[dict[str, list[Row]], dict[str, Faults]]:
    root = resolve(spec.source, spec.revision, "dataset")
    if root.is_file() and sum(named is not None for named in spec.splits.values()) > 1:
        raise DecantError(
            f"{spec.source}: the source is one file, and `splits` names several",
            "let `source` name the folder, and `splits` its files; or name train alone and let the others be carved",
        )
    splits: dict[str, list[Row]] = {}
    faults: dict[str, Faults] = {}
    for split, named in spec.splits.items():
        if named is not None:
            splits[split], faults[split] = validate(
                _open(spec, root, named), spec.duplicates, labelled=split != "train"
            )
    if "train" not in splits:
        raise DecantError(f"{spec.source}: no train split is named", "set the data set's `splits.train`")
    missing = [split for split in SPLITS if split not in splits]
    if missing:
        carved = carve(splits["train"], {split: spec.sizes[split] for split in missing}, spec.seed, spec.source)
        for split, rows in carved.items():
            splits[split] = rows
            faults.setdefault(split, Faults(0, 0, 0))
    return {split: _sample(splits[split], spec.sizes[split], spec.seed) for split in SPLITS}, faults


def _open(spec: SetSource, root: Path, named: str) -> Iterable[Record]:
    if spec.format == "beir":
        return read_beir(root, named)
    if spec.format == "mteb":
        from decant.fetch.readers.mteb import read_mteb

        return read_mteb(root, named)
    if spec.source.startswith(("hub:", "modelscope:")):
        return read_repository(root, named)
    return read_file(root if root.is_file() else root / named)


def _sample(rows: list[Row], size: int | None, seed: int) -> list[Row]:
    if size is None or size >= len(rows):
        return rows
    chosen = sorted(random.Random(seed).sample(range(len(rows)), size))
    return [rows[index] for index in chosen]
