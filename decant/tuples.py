"""Read n-tuples as the trainers want them: a dataset in an Arrow file, of which memory holds what is in use."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset

BATCH = 1 << 13  # n-tuples in memory while the file is written


@dataclass(frozen=True)
class TuplesInfo:
    """What a file of n-tuples says of itself.

    Args:
        count: n-tuples.
        labelled: whether every positive is positive by label.
    """

    count: int
    labelled: bool


def tuples_info(path: Path) -> TuplesInfo:
    """Read the metadata of a file of n-tuples.

    Raises:
        FileNotFoundError: the file is not there.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    metadata = pq.read_metadata(path)  # the schema has none of what a writer adds at the end
    return TuplesInfo(metadata.num_rows, (metadata.metadata or {}).get(b"labelled") == b"true")


def trainer_columns(tuples: pa.RecordBatch, scale: float) -> pa.RecordBatch:
    """The trainers' columns, all of shape (tuples,).

    Args:
        tuples: see `decant.triplets.SCHEMA`; at least one.
        scale: multiplies the teacher's scores.

    Returns:
        query, positive and negative_1 … negative_k: texts; label: a list of 1 + k scaled scores.
    """
    negatives, scores = tuples["negatives"], tuples["scores"]
    columns = {"query": tuples["query"], "positive": tuples["positive"]}
    for index in range(len(negatives[0])):
        columns[f"negative_{index + 1}"] = pc.list_element(negatives, index)
    scaled = pc.multiply(scores.flatten(), pa.scalar(scale, pa.float32()))
    offsets = pc.subtract(scores.offsets, scores.offsets[0])
    return pa.record_batch({**columns, "label": pa.ListArray.from_arrays(offsets, scaled)})


@contextmanager
def arrow_file(path: Path, scale: float) -> Iterator[Path]:
    """Write the trainers' columns of a file of n-tuples into an Arrow file beside it, which goes at the end.

    Not into the system's folder for temporary files, which may be in memory; a kill leaves the file to be overwritten.

    Args:
        path: the n-tuples, Parquet.
        scale: multiplies the teacher's scores.

    Yields:
        the Arrow file's path, for `open_dataset`.
    """
    written = path.with_name(f".{path.stem}.arrow.partial")
    try:
        _write(path, scale, written)
        yield written
    finally:
        written.unlink(missing_ok=True)


def _write(path: Path, scale: float, written: Path) -> None:
    # Pre-buffered, the whole file would be in memory.
    with pq.ParquetFile(path, pre_buffer=False) as file, pa.OSFile(str(written), "wb") as sink:
        batches = (trainer_columns(batch, scale) for batch in file.iter_batches(BATCH))
        first = next(batches)
        with pa.ipc.new_stream(sink, first.schema) as stream:
            stream.write_batch(first)
            for batch in batches:
                stream.write_batch(batch)


def open_dataset(path: Path) -> Dataset:
    """Map the file that `arrow_file` wrote into memory; any number of processes share what of it is there."""
    return Dataset.from_file(str(path))
