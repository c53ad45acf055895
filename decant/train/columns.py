"""Read n-tuples as the trainers want them: a dataset in an Arrow file, of which memory holds what is in use.

The trainers pass one column of numbers on to the loss. It holds all that a loss needs of an n-tuple beside its tokens.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from torch import Tensor

from decant.train.embeddings import names

BATCH = 1 << 13  # n-tuples in memory while the file is written


@dataclass(frozen=True)
class TuplesInfo:
    """The metadata of a file of n-tuples.

    Args:
        count: n-tuples.
        labelled: whether every positive is positive by label, those of replayed n-tuples aside.
        replayed: n-tuples of the guard set, at the file's end.
    """

    count: int
    labelled: bool
    replayed: int


def tuples_info(path: Path) -> TuplesInfo:
    """Read the metadata of a file of n-tuples.

    Raises:
        FileNotFoundError: the file is not there.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    metadata = pq.read_metadata(path)  # the schema has none of what a writer adds at the end
    keys = metadata.metadata or {}
    return TuplesInfo(metadata.num_rows, keys.get(b"labelled") == b"true", int(keys.get(b"replayed", 0)))


class Labels(NamedTuple):
    """What a loss knows of a batch of n-tuples.

    Args:
        labelled: whether the positive is positive by label, shape (batch,).
        texts: `decant.train.embeddings.names` of the query, the positive and the k negatives, shape (batch, 2 + k).
        scores: the teacher's, of the positive and the negatives, shape (batch, 1 + k).
    """

    labelled: Tensor
    texts: Tensor
    scores: Tensor


def trainer_columns(tuples: pa.RecordBatch, labelled: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """The trainers' columns, all of shape (tuples,).

    Args:
        tuples: see `decant.triplets.draw.SCHEMA`; at least one.
        labelled: whether each positive is positive by label.

    Returns:
        query, positive and negative_1 … negative_k: texts; label: the packed `Labels` of an n-tuple, as integers.
    """
    negatives = tuples["negatives"]
    columns = {"query": tuples["query"], "positive": tuples["positive"]}
    for index in range(len(negatives[0])):
        columns[f"negative_{index + 1}"] = pc.list_element(negatives, index)
    scores = tuples["scores"].flatten().to_numpy().reshape(len(tuples), -1)
    packed = np.column_stack(
        [
            labelled,
            *(names(texts) for texts in columns.values()),
            np.ascontiguousarray(scores, dtype=np.float32).view(np.int32),
        ]
    )
    offsets = np.arange(len(packed) + 1, dtype=np.int32) * packed.shape[1]
    label = pa.ListArray.from_arrays(pa.array(offsets), pa.array(packed.ravel()))
    return pa.record_batch({**columns, "label": label})


def unpack(labels: Tensor) -> Labels:
    """What `trainer_columns` packed, from shape (batch, 1 + (2 + k) + (1 + k))."""
    split = labels.shape[1] // 2 + 1
    scores = labels[:, split:].to(torch.int32).view(torch.float32)
    return Labels(labels[:, 0] > 0, labels[:, 1:split], scores)


@contextmanager
def arrow_file(path: Path) -> Iterator[Path]:
    """Write the trainers' columns of a file of n-tuples into an Arrow file beside it, and remove it at the end.

    It is not in the system's folder for temporary files, which may be in memory. The next training overwrites a file
    that a killed one has left.

    Args:
        path: the n-tuples, Parquet.

    Yields:
        the Arrow file's path, for `open_dataset`.
    """
    written = path.with_name(f".{path.stem}.arrow.partial")
    try:
        _write(path, written)
        yield written
    finally:
        written.unlink(missing_ok=True)


def _write(path: Path, written: Path) -> None:
    info = tuples_info(path)
    labelled = info.count - info.replayed if info.labelled else 0  # the first so many
    # Pre-buffered, the whole file would be in memory.
    with pq.ParquetFile(path, pre_buffer=False) as file, pa.OSFile(str(written), "wb") as sink:
        number = itertools.count()
        batches = (
            trainer_columns(batch, np.fromiter(itertools.islice(number, len(batch)), np.int64) < labelled)
            for batch in file.iter_batches(BATCH)
        )
        first = next(batches)
        with pa.ipc.new_stream(sink, first.schema) as stream:
            stream.write_batch(first)
            for batch in batches:
                stream.write_batch(batch)


def open_dataset(path: Path) -> Dataset:
    """Map the file that `arrow_file` wrote into memory; any number of processes share what of it is there."""
    return Dataset.from_file(str(path))
