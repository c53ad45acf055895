"""Build a reranking set from its source: read, carve, validate, and describe it on a card."""

import importlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from decant.data.files import Record
from decant.data.sets import SPLITS, Row, Split, write_split
from decant.errors import DecantError
from decant.fetch.overlap import overlaps
from decant.fetch.readers import FORMATS
from decant.fetch.settings import DataSet
from decant.fetch.splits import carve
from decant.fetch.validation import Faults, validate
from decant.files import atomic_folder, sha256, write_json
from decant.sources import SCHEMES
from decant.sources.references import check_versions, resolve

LARGEST_DEV = 500  # queries, of a dev split that params say nothing about

Splits = dict[str, list[Row]]


class Read(Protocol):
    """The function `read` of a format's module."""

    def __call__(self, root: Path, split: str, *, repository: bool) -> Iterable[Record]:
        """Yield (place, record): the place names file and line for messages, the record has the keys of a row.

        Args:
            root: the source's file or folder.
            split: what the set's `train`, `dev` or `test` names.
            repository: whether the root is a hub's repository, whose splits may lie in any files.
        """


class Build(Protocol):
    """The function `build` of an embedded format's module."""

    def __call__(
        self, source: Path, packages: Sequence[str], sizes: Mapping[str, int], negatives: int, seed: int
    ) -> Splits:
        """Build the splits, `sizes` queries each; the same packages and seed give the same rows.

        Raises:
            DecantError: the source lacks a file, or a split cannot be filled.
        """


def fetch_set(name: str, settings: DataSet, folder: Path) -> dict[str, Any]:
    """Build a set, replace `folder` by its splits and `card.json`, all or nothing, and return the card.

    Raises:
        DecantError: the source cannot be read, breaks the contract, or its splits overlap too much.
    """
    check_versions(settings.packages)
    root = resolve(settings.source, settings.revision, "dataset")
    splits, faults, carved = _read(settings, root)
    shared = overlaps(splits)
    for pair, counts in shared.items():
        if counts["share"] > settings.max_overlap:
            one, other = pair.split("-")
            raise DecantError(
                f"{name}: {counts['folded']} queries and positives ({counts['share']:.1%}) of {other} stand in {one} "
                f"too; datasets.{name}.max_overlap allows {settings.max_overlap:.1%}",
                "take them out of one of the splits, let Decant carve the split (a number), or raise the limit",
            )
    with atomic_folder(folder) as partial:
        for split, rows in splits.items():
            write_split(partial / f"{split}.parquet", Split(rows, settings.task))
        card = {
            "name": name,
            **settings.model_dump(include={"source", "revision", "format", "packages", "task"}),
            "splits": {split: _describe(rows, faults[split], partial, split) for split, rows in splits.items()},
            **({"carved_from_train": carved} if carved else {}),
            "overlap": shared,
        }
        write_json(partial / "card.json", card)
    return card


def _describe(rows: Sequence[Row], faults: Faults, folder: Path, split: str) -> dict[str, Any]:
    return {
        "queries": len(rows),
        "pairs": sum(len(row.candidates) for row in rows),
        "positives": sum(len(row.positive) for row in rows),
        "negatives": sum(len(row.negative) for row in rows),
        "unique_texts": len({text for row in rows for text in (row.query, *row.candidates)}),
        **asdict(faults),
        "sha256": sha256(folder / f"{split}.parquet"),
    }


def _read(settings: DataSet, root: Path) -> tuple[Splits, dict[str, Faults], list[str]]:
    """The splits of a source, what the validator found in each, and the names of those that are carved."""
    splits: Splits = {}
    faults = dict.fromkeys(SPLITS, Faults(0, 0, 0))
    sizes: dict[str, int] = {}
    records, embedded = _reader(settings, root), FORMATS[settings.format].embedded
    for split in SPLITS:
        named = getattr(settings, split)
        if embedded or isinstance(named, str):
            labelled = embedded or split != "train"
            splits[split], faults[split] = validate(records(split), settings.duplicates, labelled=labelled)
        else:
            sizes[split] = named or max(1, min(LARGEST_DEV, len(splits["train"]) // 10))
    if sizes:
        splits |= carve(splits["train"], sizes, settings.seed, settings.source)
    limits: dict[Any, int] = {**settings.limits, **sizes}
    return {split: _sample(splits[split], limits.get(split), settings.seed) for split in SPLITS}, faults, list(sizes)


def _reader(settings: DataSet, root: Path) -> Callable[[str], Iterable[Record]]:
    """A function from `train`, `dev` or `test` to the records of this split, as its format reads or builds them."""
    module = importlib.import_module(FORMATS[settings.format].module)
    if not FORMATS[settings.format].embedded:
        read: Read = module.read
        repository = SCHEMES[settings.source.partition(":")[0]].pinned
        return lambda split: read(root, getattr(settings, split), repository=repository)
    build: Build = module.build
    assert settings.negatives is not None  # the settings refuse it
    sizes = {split: getattr(settings, split) for split in SPLITS}
    built = build(root, list(settings.packages), sizes, settings.negatives, settings.seed)
    return lambda split: ((f"{split}, row {number}", vars(row)) for number, row in enumerate(built[split], start=1))


def _sample(rows: list[Row], size: int | None, seed: int) -> list[Row]:
    if size is None or size >= len(rows):
        return rows
    chosen = sorted(random.Random(seed).sample(range(len(rows)), size))
    return [rows[index] for index in chosen]
