"""A reranking set: queries, each with its positive and negative candidates, kept as Parquet."""

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
from decant.data.words import normalise as normalise
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
        rows: how many were added.
    """

    def __init__(self, path: Path, task: str) -> None:
        self._path, self._metadata = path, to_metadata(task)
        self.prompt: str = getattr(task, "prompt", "")
        self.rows = 0
        self._rows: list[Row | pa.RecordBatch] = []
        self._waiting = 0  # rows in `_rows`
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

    def write(self, row: Row | pa.RecordBatch) -> None:
        """Add a row, or many of the schema `LABELLED`.

        Raises:
            DecantError: some rows are labelled and some are not.
        """
        while isinstance(row, pa.RecordBatch) and len(row) > (room := ROWS_WRITTEN_AT_ONCE - self._waiting):
            self.write(row[:room])
            row = row[room:]
        self._rows.append(row)
        count = len(row) if isinstance(row, pa.RecordBatch) else 1
        self.rows += count
        self._waiting += count
        if self._waiting >= ROWS_WRITTEN_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        schema = self._schema_of([row for row in rows if isinstance(row, Row)])
        self._waiting = 0
        self._wait()
        if self._file is None:
            self._open(schema)
        elif any(name not in self._schema.names for name in schema.names):
            self._widen(schema)
        assert self._file is not None
        tables = [_table(list(alike), self._file.schema) for _, alike in groupby(rows, type)]
        self._written = self._thread.submit(self._write, tables or [_table([], self._file.schema)])

    def _write(self, tables: list[pa.Table]) -> None:
        """Write some tables as one, so that where one ends does not tell in the file."""
        assert self._file is not None
        self._file.write_table(pa.concat_tables(tables).combine_chunks())

    def _wait(self) -> None:
        """Wait for what is being written, and raise what went wrong with it."""
        if self._written is not None:
            self._written.result()
            self._written = None

    def _schema_of(self, rows: Sequence[Row]) -> pa.Schema:
        """The columns that some rows need."""
        unlabelled = sum(not row.labelled for row in rows)
        base = UNLABELLED if unlabelled else LABELLED
        if 0 < unlabelled < self._waiting or (self._file is not None and base.names[-1] not in self._schema.names):
            raise DecantError(
                f"{self._path}: {unlabelled} of {self._waiting} rows have no labels, unlike the others",
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
                self._file.write_table(_table([batch], self._file.schema))
        narrow.unlink()


def _table(rows: Sequence[Row] | Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """Rows, or batches of them, as a table; columns that batches lack are empty."""
    columns: dict[str, Any]
    if rows and isinstance(rows[0], pa.RecordBatch):
        table = pa.Table.from_batches(rows)
        columns = {name: table[name] for name in table.schema.names}
        for field in (field for field in schema if field.name not in columns):
            columns[field.name] = pa.array([getattr(Row(""), field.name)] * len(table), field.type)
    else:
        columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
    return pa.table(columns, schema=schema)


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
        name = path.parent.name
        remedy = f"run `dvc repro fetch@{name}`, or for a union `dvc repro unite@{name}`"
        raise DecantError(f"{path}: the split is not there", remedy)
    return from_metadata(pq.read_metadata(path).metadata)
