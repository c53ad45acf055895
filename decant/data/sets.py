"""A reranking set: queries, each with its positive and negative candidates, kept as Parquet."""

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from decant.data import SPLITS as SPLITS
from decant.data.tasks import Task as Task
from decant.data.tasks import from_metadata, task_of, to_metadata
from decant.errors import DecantError
from decant.files import atomic_file

_TEXTS = pa.list_(pa.string())
LABELLED = pa.schema([("query", pa.string()), ("positive", _TEXTS), ("negative", _TEXTS)])
LISTS = ("positive", "negative", "candidates")  # the columns of a split that hold candidates
ROWS_AT_ONCE = 1024
ROWS_WRITTEN_AT_ONCE = 16384

UNLABELLED = pa.schema([("query", pa.string()), ("candidates", _TEXTS)])
# Columns that a split has where its source has grades or ids, or where it is a union's.
OPTIONAL = pa.schema(
    [("grades", pa.list_(pa.int8())), ("query_id", pa.string()), ("ids", _TEXTS), ("set", pa.string())]
)


@dataclass(frozen=True)
class Row:
    """One query with its candidates: labelled as positive and negative, or not at all (`unlabelled`).

    A row of a train split may lack negatives, or all candidates, until they are mined.

    Attributes:
        grades: graded relevance of `positive` and then `negative`, 0 or more; empty where labels are 1 and 0.
        query_id: of the source; empty where it gives none.
        ids: of the source, one a candidate, "" for one that has none; empty where the source gives none.
        set: the name of the set that a union has the row from; empty elsewhere.
    """

    query: str
    positive: list[str] = field(default_factory=list)
    negative: list[str] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    grades: list[int] = field(default_factory=list)
    query_id: str = ""
    ids: list[str] = field(default_factory=list)
    set: str = ""

    @property
    def labelled(self) -> bool:
        """Whether candidates are labelled; a query alone is not."""
        return bool(self.positive or self.negative)

    @property
    def candidates(self) -> list[str]:
        """All candidates, positives first: the order of every run and of every score file."""
        return self.positive + self.negative + self.unlabelled

    @property
    def labels(self) -> list[int | None]:
        """One label a candidate, in the order of `candidates`; None where there is no label."""
        return [1] * len(self.positive) + [0] * len(self.negative) + [None] * len(self.unlabelled)

    @property
    def gains(self) -> list[int]:
        """The gain of each labelled candidate, for nDCG: its grade or, where there are none, its label."""
        return self.grades or [1] * len(self.positive) + [0] * len(self.negative)


class _Words(dict[int, int]):
    """For `str.translate`: letters, digits, marks and symbols as they are, all else as blanks; filled as needed."""

    def __missing__(self, code: int) -> int:
        character = chr(code)
        kept = character.isalnum() or unicodedata.category(character)[0] in "MS"
        self[code] = code if kept else ord(" ")
        return self[code]


_WORDS = _Words()
_ASCII_WORDS = bytes(range(128)).decode().lower().translate(_WORDS).encode() + bytes(range(128, 256))


def normalise(text: str) -> str:
    """Fold what does not make two texts different: case, width, punctuation and white space."""
    if text.isascii():  # the same, several times as fast
        return " ".join(text.encode().translate(_ASCII_WORDS).decode().split()) or text.lower().strip()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.translate(_WORDS).split()) or folded.strip()


@dataclass(frozen=True)
class Split:
    """The rows of a split, and the set's task text, which may be a `Task` with a prompt or with a union's tasks."""

    rows: list[Row]
    task: str

    def parts(self) -> Iterator["Split"]:
        """The rows of each set that a union has put together, with that set's task; else the split itself."""
        for name, rows in groupby(self.rows, key=lambda row: row.set):
            yield Split(list(rows), task_of(self.task, name))


class SplitWriter:
    """Writes the rows of a split as Parquet as they come, some thousands at a time; the same rows give the same bytes.

    Args:
        path: of the file, which is written in place.
        task: of the split, kept in the file's metadata.

    Attributes:
        prompt: of the task, kept likewise; it may be set until the end.
    """

    def __init__(self, path: Path, task: str) -> None:
        self._path, self._metadata = path, to_metadata(task)
        self.prompt: str = getattr(task, "prompt", "")
        self._rows: list[Row] = []
        self._file: pq.ParquetWriter | None = None
        self._schema = LABELLED
        self._thread = ThreadPoolExecutor(1)  # pyarrow encodes and compresses while the next rows are read
        self._written: Future[None] | None = None

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if error is None and (self._rows or self._file is None):
                self._flush()
            self._wait()
        finally:
            self._thread.shutdown()
            if self._file is not None:
                if self.prompt:
                    self._file.add_key_value_metadata({"prompt": self.prompt})
                self._file.close()

    def write(self, row: Row) -> None:
        """Add a row.

        Raises:
            DecantError: some rows are labelled and some are not.
        """
        self._rows.append(row)
        if len(self._rows) >= ROWS_WRITTEN_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        schema = self._schema_of(rows)
        self._wait()
        if self._file is None:
            self._open(schema)
        elif any(name not in self._schema.names for name in schema.names):
            self._widen(schema)
        columns = {name: [getattr(row, name) for row in rows] for name in self._schema.names}
        assert self._file is not None
        self._written = self._thread.submit(self._file.write_table, pa.table(columns, schema=self._file.schema))

    def _wait(self) -> None:
        """Wait for what is being written, and raise what went wrong with it."""
        if self._written is not None:
            self._written.result()
            self._written = None

    def _schema_of(self, rows: Sequence[Row]) -> pa.Schema:
        """The columns that some rows need."""
        unlabelled = sum(not row.labelled for row in rows)
        base = UNLABELLED if unlabelled else LABELLED
        if 0 < unlabelled < len(rows) or (self._file is not None and base.names[-1] not in self._schema.names):
            raise DecantError(
                f"{self._path}: {unlabelled} of {len(rows)} rows have no labels, unlike the others",
                "label all rows of the split or none",
            )
        return pa.schema([*base, *(column for column in OPTIONAL if any(getattr(row, column.name) for row in rows))])

    def _open(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._file = pq.ParquetWriter(self._path, schema.with_metadata(self._metadata), compression="zstd")

    def _widen(self, schema: pa.Schema) -> None:
        """Write the file anew with the columns that later rows need, empty in those before them."""
        assert self._file is not None
        self._file.close()
        added = [name for name in OPTIONAL.names if name in {*self._schema.names, *schema.names}]
        narrow = self._path.rename(self._path.with_name(f"{self._path.name}.narrow"))
        names = [name for name in self._schema.names if name not in OPTIONAL.names]
        self._open(
            pa.schema([*(self._schema.field(name) for name in names), *(OPTIONAL.field(name) for name in added)])
        )
        with pq.ParquetFile(narrow) as file:
            for batch in file.iter_batches(ROWS_WRITTEN_AT_ONCE):
                columns = {name: batch.column(name) for name in batch.schema.names}
                absent = {
                    name: pa.array([getattr(Row(""), name)] * len(batch), OPTIONAL.field(name).type)
                    for name in added
                    if name not in columns
                }
                self._file.write_table(pa.table({**columns, **absent}, schema=self._file.schema))
        narrow.unlink()


def write_split(path: Path, split: Split) -> None:
    """Write a split whole or not at all; see `SplitWriter`."""
    with atomic_file(path) as partial, SplitWriter(partial, split.task) as file:
        for row in split.rows:
            file.write(row)


def read_split(path: Path) -> Split:
    """Read a split that `write_split` wrote; a DecantError where it is not there."""
    task = read_task(path)
    return Split([_row(record) for record in pq.read_table(path).to_pylist()], task)


def read_rows(path: Path, wanted: Collection[int]) -> Split:
    """Read some rows of a split, by their numbers, in the split's order; numbers beyond its end are ignored."""
    rows, first = [], 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            chosen = [number for number in range(len(batch)) if first + number in wanted]
            rows += [_row(record) for record in batch.take(pa.array(chosen, pa.int64())).to_pylist()]
            first += len(batch)
            if first > max(wanted, default=-1):
                break
        return Split(rows, from_metadata(file.metadata.metadata))


def stream_rows(path: Path) -> Iterator[Row]:
    """The rows of a split, one by one, so that a large one need not fit in memory."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            yield from map(_row, batch.to_pylist())


def _row(record: dict[str, Any]) -> Row:
    if "candidates" in record:
        record["unlabelled"] = record.pop("candidates")
    return Row(**record)


def read_task(path: Path) -> Task:
    """The task text of a split that `write_split` wrote; a DecantError where it is not there."""
    if not path.is_file():
        raise DecantError(f"{path}: the split is not there", f"run `dvc repro fetch@{path.parent.name}`")
    return from_metadata(pq.read_metadata(path).metadata)
