"""Read n-tuples as the trainers want them: a dataset in an Arrow file, of which memory holds what is in use.

The trainers pass one column of numbers on to the loss. It holds all that a loss needs of an n-tuple beside its tokens.
"""

import errno
import itertools
import os
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
from torch import Tensor

from decant.train.embeddings import names

SET = "set"
BATCH = 1 << 13  # n-tuples in memory while the file is written


@dataclass(frozen=True)
class TuplesInfo:
    """The metadata of a file of n-tuples."""

    count: int
    labelled: bool  # whether every positive is positive by label, those of replayed n-tuples aside
    replayed: int  # n-tuples of the guard set, at the file's end


def tuples_info(path: Path) -> TuplesInfo:
    """Read the metadata of a file of n-tuples.

    Raises:
        FileNotFoundError: the file is not there.
    """
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    metadata = pq.read_metadata(path)  # the schema has none of what a writer adds at the end
    keys = metadata.metadata or {}
    return TuplesInfo(metadata.num_rows, keys.get(b"labelled") == b"true", int(keys.get(b"replayed", 0)))


class Labels(NamedTuple):
    """What a loss knows of a batch of n-tuples."""

    labelled: Tensor  # whether the positive is positive by label, shape (batch,)
    texts: Tensor  # `decant.train.embeddings.names` of the query, the positive and the k negatives, (batch, 2 + k)
    scores: Tensor  # the teacher's, of the positive and the negatives, shape (batch, 1 + k)


def trainer_columns(tuples: pa.RecordBatch, labelled: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """The trainers' columns, all of shape (tuples,).

    Args:
        tuples: see `decant.triplets.draw.SCHEMA`; at least one.
        labelled: whether each positive is positive by label.

    Returns:
        query, positive and negative_1 … negative_k: texts; label: the packed `Labels` of an n-tuple, as integers; of a
        union also set: the name of the n-tuple's set, which the trainers do not read (see `decant.train.unions`).
    """
    negatives = tuples["negatives"]
    columns = {"query": tuples["query"], "positive": tuples["positive"]}
    columns |= {f"negative_{place + 1}": pc.list_element(negatives, place) for place in range(len(negatives[0]))}
    scores = tuples["scores"].flatten().to_numpy().reshape(len(tuples), -1)
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.int32)
    packed = np.column_stack([labelled, *(names(texts) for texts in columns.values()), bits])
    offsets = np.arange(len(packed) + 1, dtype=np.int32) * packed.shape[1]
    label = pa.ListArray.from_arrays(pa.array(offsets), pa.array(packed.ravel()))
    of_set = {SET: tuples[SET]} if SET in tuples.schema.names else {}
    return pa.record_batch({**columns, **of_set, "label": label})


def unpack(labels: Tensor) -> Labels:
    """What `trainer_columns` packed, from shape (batch, 1 + (2 + k) + (1 + k))."""
    split = labels.shape[1] // 2 + 1
    scores = labels[:, split:].to(torch.int32).view(torch.float32)
    return Labels(labels[:, 0] > 0, labels[:, 1:split], scores)


@contextmanager
def arrow_file(path: Path) -> Iterator[Path]:
    """Write the trainers' columns of a Parquet file of n-tuples into an Arrow file, yield its path, and remove it.

    It lies beside the n-tuples: the system's folder for temporary files may be in memory. The next training overwrites
    a file that a killed one has left.
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
            for batch in itertools.chain([first], batches):
                stream.write_batch(batch)
