"""The query-candidate pairs of a split, as arrays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant.data.sets import LISTS, ROWS_AT_ONCE

# Of `stream_pairs`. `row` is the number of the set's row. `label` is above 0 for a positive: its grade, or 1 where the
# row has no grades. It is 0 for a negative, whatever its grade, and null for a candidate without a label.
PAIRS = pa.schema([("row", pa.int32()), ("query", pa.string()), ("candidate", pa.string()), ("label", pa.int8())])


def stream_pairs(path: Path, name: str = "") -> Iterator[pa.RecordBatch]:
    """The query-candidate pairs of a split, in the order of its rows and of `Row.candidates`, as batches of `PAIRS`.

    A row's pairs are all in one batch. With the `name` of one of a union's sets they are those of its rows alone.
    """
    first = 0
    with pq.ParquetFile(path) as file:
        lists = [each for each in LISTS if each in file.schema_arrow.names]
        read = ["query", *lists, *(each for each in ("grades", "set") if each in file.schema_arrow.names)]
        for rows in file.iter_batches(ROWS_AT_ONCE, columns=read):
            number = np.arange(first, first + len(rows), dtype=np.int32)
            first += len(rows)
            if name:
                of_set = pc.equal(rows.column("set"), name)
                number, rows = number[of_set.to_numpy(zero_copy_only=False)], rows.filter(of_set)
            parents = np.concatenate([rows.column(each).value_parent_indices().to_numpy() for each in lists])
            flat = {each: rows.column(each).flatten() for each in lists}
            texts = pa.concat_arrays(list(flat.values()))
            labels = pa.concat_arrays([_labels(rows, each, len(column)) for each, column in flat.items()])
            order = pa.array(np.argsort(parents, kind="stable"))
            parent = pa.array(parents).take(order)
            numbers, queries = pa.array(number).take(parent), rows.column("query").take(parent)
            yield pa.record_batch([numbers, queries, texts.take(order), labels.take(order)], schema=PAIRS)


def _labels(rows: pa.RecordBatch, name: str, count: int) -> pa.Array:
    """The label of each of the `count` candidates in a column of some rows; see `PAIRS`."""
    if name != "positive" or "grades" not in rows.schema.names:
        return pa.repeat(pa.scalar({"positive": 1, "negative": 0}.get(name), pa.int8()), count)
    labels = np.ones(count, dtype=np.int8)
    row_of_grade, row_of_positive = (rows.column(each).value_parent_indices().to_numpy() for each in ("grades", name))
    place = np.arange(len(row_of_grade)) - np.searchsorted(row_of_grade, row_of_grade)
    positives = np.bincount(row_of_positive, minlength=len(rows))  # of each row; their grades stand first
    graded = np.isin(row_of_positive, row_of_grade)
    labels[graded] = rows.column("grades").flatten().to_numpy()[place < positives[row_of_grade]]
    return pa.array(labels)
