"""Build a reranking set from its source: read, validate, carve, and describe it on a card."""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from decant.data.sets import SPLITS, Row, SplitWriter
from decant.errors import DecantError
from decant.fetch.corpora import fetch_corpus
from decant.fetch.counts import Counts
from decant.fetch.faults import KINDS, Faults
from decant.fetch.items import Item
from decant.fetch.layouts.given import Given
from decant.fetch.overlap import overlaps
from decant.fetch.readers import FORMATS
from decant.fetch.reading import SplitReader
from decant.fetch.settings import DataSet
from decant.fetch.splits import carve, keep_some, sample
from decant.fetch.validation import valid_rows
from decant.files import atomic_folder, sha256, write_json
from decant.sources import SCHEMES
from decant.sources.references import check_versions, resolve

LARGEST_DEV = 500  # queries, of a dev split that params say nothing about


class Build(Protocol):
    """The function `build` of an embedded format's module."""

    def __call__(
        self, source: Path, packages: Sequence[str], sizes: Mapping[str, int], negatives: int, seed: int
    ) -> dict[str, list[Row]]:
        """Build the splits, `sizes` queries each; the same packages and seed give the same rows.

        Raises:
            DecantError: the source lacks a file, or a split cannot be filled.
        """


class Source:
    """A set's source, whose splits are read one by one.

    Attributes:
        layouts: split → how it is laid out.
        unused: split → column → an example of what no reader uses.
        prompts: split → query prompts that came with its rows, "" for none, each with its number of rows; only of
            splits with any.
    """

    def __init__(self, settings: DataSet, root: Path) -> None:
        self.settings, self.root = settings, root
        self.repository = SCHEMES[settings.source.partition(":")[0]].pinned
        self.layouts: dict[str, str] = {}
        self.unused: dict[str, dict[str, Any]] = {}
        self.prompts: dict[str, dict[str, int]] = {}
        self._built: dict[str, list[Row]] | None = None
        if FORMATS[settings.format].embedded:
            build: Build = importlib.import_module(FORMATS[settings.format].module).build
            assert settings.negatives is not None  # the settings refuse it
            sizes = {split: getattr(settings, split) for split in SPLITS}
            self._built = build(root, list(settings.packages), sizes, settings.negatives, settings.seed)

    def has(self, split: str) -> bool:
        """Whether the source has a split of its own, which is not to be carved."""
        return self._built is not None or isinstance(getattr(self.settings, split), str)

    def records(self, split: str, *, batches: bool = False) -> Iterator[tuple[str, Item]]:
        """The records of train, dev or test; with `batches` many at once, where the source allows it."""
        if self._built is not None:
            for number, row in enumerate(self._built[split], start=1):
                yield f"{split}, row {number}", Given(row.query, row.positive, row.negative)
            return
        named = getattr(self.settings, split)
        reader = SplitReader(self.settings, self.root, named, repository=self.repository, batches=batches)
        yield from reader
        self.layouts[split] = reader.layout
        if reader.unused:
            self.unused[split] = dict(reader.unused)
        if any(reader.prompts):
            self.prompts[split] = reader.prompts


def fetch_set(name: str, settings: DataSet, folder: Path) -> dict[str, Any]:
    """Build a set, replace `folder` by its splits and `card.json`, all or nothing, and return the card.

    Raises:
        DecantError: the source cannot be read, breaks the contract, or its splits overlap too much.
    """
    check_versions(settings.packages)
    source = Source(settings, resolve(settings.source, settings.revision, "dataset"))
    with atomic_folder(folder) as partial:
        faults = dict.fromkeys(SPLITS, Faults())
        for split in filter(source.has, SPLITS):
            faults[split] = write_valid(source, split, partial / f"{split}.parquet")
        carved = _choose(settings, source, partial)
        corpus = fetch_corpus(settings, source.root, partial / "corpus.parquet", repository=source.repository)
        shared = overlaps({split: partial / f"{split}.parquet" for split in SPLITS})
        check_overlap(f"datasets.{name}", settings.max_overlap, shared)
        card = {
            "name": name,
            **settings.model_dump(include={"source", "revision", "format", "packages", "task"}),
            "splits": {split: describe(partial / f"{split}.parquet", faults[split]) for split in SPLITS},
            **({"carved_from_train": carved} if carved else {}),
            **{key: value for key in ("layouts", "unused", "prompts") if (value := getattr(source, key))},
            **({"corpus": corpus} if corpus else {}),
            "overlap": shared,
        }
        write_json(partial / "card.json", card)
    return card


def write_valid(source: Source, split: str, path: Path) -> Faults:
    """Write the valid rows of a split, as they come.

    Raises:
        DecantError: nothing is valid, or faults are refused, or too much would be left out.
    """
    settings = source.settings
    labelled = split != "train" or FORMATS[settings.format].embedded
    records = source.records(split, batches=settings.duplicates == "refuse")  # others need all rows of a query
    rows, faults = valid_rows(records, settings.duplicates, labelled=labelled, relevant_from=settings.relevant_from)
    with SplitWriter(path, settings.task) as file:
        for row in rows:
            file.write(row)
        if len(prompts := source.prompts.get(split, {})) == 1:
            file.prompt = next(iter(prompts))
    where = str(source.root) if source.root.is_file() else f"{source.root}, {getattr(settings, split)}"
    faults.check(where, settings.faults, settings.max_dropped)
    if not file.rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in faults.not_judged.items())
        raise DecantError(
            f"{where}: the split holds no row{f' ({reasons})' if reasons else ''}",
            "check the source's file or split name",
        )
    return faults


def left_out(counts: Mapping[str, Any]) -> Iterator[str]:
    """What was left out of a split, by its counts on the card, in a line; nothing where it is whole."""
    if counts.get("faults"):
        kinds = ", ".join(f"{KINDS[kind]}: {count}" for kind, count in counts["faults"].items())
        yield f"{counts['rows_left_out']} rows and {counts['texts_left_out']} candidates are left out ({kinds})"
    if counts.get("not_judged"):
        yield "left out: " + ", ".join(f"{count} {reason}" for reason, count in counts["not_judged"].items())


def _choose(settings: DataSet, source: Source, folder: Path) -> list[str]:
    """Carve the splits that are to be carved from train, and draw what limits allow; the names of the carved ones."""
    train = folder / "train.parquet"
    sizes: dict[str, int] = {}
    for split in SPLITS:
        if not source.has(split):
            sizes[split] = getattr(settings, split) or 0
    if sizes:
        total = pq.read_metadata(train).num_rows
        sizes = {split: size or max(1, min(LARGEST_DEV, total // 10)) for split, size in sizes.items()}
        carve(train, sizes, settings.seed, settings.source)
    for split, limit in settings.limits.items():
        path = folder / f"{split}.parquet"
        rows = pq.read_metadata(path).num_rows
        if limit < rows:
            keep_some(path, sample(rows, limit, settings.seed))
    return list(sizes)


def check_overlap(block: str, most: float, shared: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a set whose splits share too much.

    Args:
        block: its key in params.yaml.
        most: the largest share of a split's queries and positives that may stand in another.
        shared: of `decant.fetch.overlap.overlaps`.
    """
    for pair, counts in shared.items():
        if counts["share"] > most:
            one, other = pair.split("-")
            raise DecantError(
                f"{block.partition('.')[2]}: {counts['folded']} queries and positives ({counts['share']:.1%}) of "
                f"{other} stand in {one} too; {block}.max_overlap allows {most:.1%}",
                "take them out of one of the splits, let Decant carve the split (a number), or raise the limit",
            )


def describe(path: Path, faults: Faults | None = None) -> dict[str, Any]:
    """What the card says of a split."""
    return {**Counts.of(path).card(), **(faults.card() if faults else {}), "sha256": sha256(path)}
