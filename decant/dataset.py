"""A reranking set: queries, each with its positive and negative candidates, kept as Parquet."""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from decant.errors import DecantError
from decant.files import atomic_file

SPLITS = ("train", "dev", "test")

_TEXTS = pa.list_(pa.string())
LABELLED = pa.schema([("query", pa.string()), ("positive", _TEXTS), ("negative", _TEXTS)])
UNLABELLED = pa.schema([("query", pa.string()), ("candidates", _TEXTS)])


@dataclass(frozen=True)
class Row:
    """One query with its candidates: labelled as positive and negative, or not at all (`unlabelled`)."""

    query: str
    positive: list[str] = field(default_factory=list)
    negative: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)

    @property
    def candidates(self) -> list[str]:
        """All candidates, positives first: the order of every run and of every score file."""
        return self.positive + self.negative + self.unlabelled

    @property
    def labels(self) -> list[int | None]:
        """One label a candidate, in the order of `candidates`; None where there is no label."""
        return [1] * len(self.positive) + [0] * len(self.negative) + [None] * len(self.unlabelled)


def normalise(text: str) -> str:
    """Fold what does not make two texts different: case, width, punctuation and white space."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(c if c.isalnum() or unicodedata.category(c)[0] in "MS" else " " for c in folded)
    return " ".join(words.split()) or folded.strip()


@dataclass(frozen=True)
class Split:
    """The rows of a split, and the set's task text, which fills `{task}` in a model's query prompt."""

    rows: list[Row]
    task: str


def write_split(path: Path, split: Split) -> None:
    """Write a split as Parquet, its task in the schema's metadata; the same split gives the same bytes.

    Raises:
        DecantError: some rows are labelled and some are not.
    """
    unlabelled = sum(bool(row.unlabelled) for row in split.rows)
    if 0 < unlabelled < len(split.rows):
        raise DecantError(
            f"{path}: {unlabelled} of {len(split.rows)} rows have no labels", "label all rows of the split or none"
        )
    if unlabelled:
        columns: dict[str, list[object]] = {
            "query": [row.query for row in split.rows],
            "candidates": [row.unlabelled for row in split.rows],
        }
        table = pa.table(columns, schema=UNLABELLED)
    else:
        columns = {name: [getattr(row, name) for row in split.rows] for name in LABELLED.names}
        table = pa.table(columns, schema=LABELLED)
    with atomic_file(path) as partial:
        pq.write_table(table.replace_schema_metadata({"task": split.task}), partial, compression="zstd")


def read_split(path: Path) -> Split:
    """Read a split that `write_split` wrote.

    Raises:
        DecantError: the file is not there.
    """
    if not path.is_file():
        raise DecantError(f"{path}: the split is not there", f"run `dvc repro fetch@{path.parent.name}`")
    table = pq.read_table(path)
    task = (table.schema.metadata or {}).get(b"task", b"").decode()
    if "candidates" in table.column_names:
        return Split([Row(r["query"], unlabelled=r["candidates"]) for r in table.to_pylist()], task)
    return Split([Row(**record) for record in table.to_pylist()], task)
