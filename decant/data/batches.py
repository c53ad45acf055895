"""Lines of JSON that are all alike, as Arrow batches: many times as fast as one Python object a line."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from decant.data.records import Record

_T = TypeVar("_T")
_AHEAD = 4  # items that `ahead` holds


@dataclass
class Wanted:
    """What a reader of JSON lines may give as batches.

    Attributes:
        schema: of the rows; None, as long as nobody knows it, for no batches. It may be set while a file is read.
    """

    schema: pa.Schema | None = None


class Batch(NamedTuple):
    """Rows that stand one a line, one line after another.

    Attributes:
        where: the beginning of their places: the path, and what numbers are counted in.
        first: the number of the first row's line.
        rows: of the wanted schema. A column that a row lacks is null.
    """

    where: str
    first: int
    rows: pa.RecordBatch

    def place(self, row: int) -> str:
        """The place of the row of a number from 0, for messages."""
        return f"{self.where}{self.first + row}"


BatchRecord = tuple[str, Batch]
"""The place of a batch's first row, and the batch."""


@dataclass
class BatchReader:
    """The records of a file, many of which come as a batch as soon as their schema is wanted."""

    wanted: Wanted
    records: Iterator[Record | BatchRecord]

    def __iter__(self) -> Iterator[Record | BatchRecord]:
        return self.records


def parse(lines: bytes, schema: pa.Schema) -> pa.RecordBatch | None:
    """Whole lines of JSON as a batch; None where that may differ from reading them one by one.

    So it is where a line is blank, is no JSON object, holds more than one, or has a column or a type that is not the
    schema's.

    Args:
        lines: at least one.
        schema: columns of texts, and of lists of texts. A row may lack any of them.
    """
    characters = np.frombuffer(lines, np.uint8)
    ends = characters[:-1] == ord("\n")
    # pyarrow does not care where a line ends, but if an object begins each line, and there are as many as lines, then
    # each line is one: none of the schema's values holds another object.
    if characters[0] != ord("{") or (ends & (characters[1:] != ord("{"))).any():
        return None
    try:
        table = pj.read_json(
            pa.py_buffer(lines),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
        if not lines.isascii():
            table.validate(full=True)  # whether texts are UTF-8, which pyarrow does not look at before
    except pa.ArrowInvalid:
        return None
    if table.num_rows != 1 + np.count_nonzero(ends):
        return None
    return table.combine_chunks().to_batches()[0]


def ahead(items: Iterator[_T]) -> Iterator[_T]:
    """Yield the same items, of which a thread gets a few ahead; what goes wrong is raised in its place."""
    end = object()
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, items, end) for _ in range(_AHEAD))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(next, items, end))
            yield item  # type: ignore[misc]
