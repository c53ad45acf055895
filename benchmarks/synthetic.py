"""A made-up set and a teacher that costs nothing, for `benchmarks.scale`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.sets import LABELLED, read_task
from decant.files import write_json
from decant.score.engines.robust import Outcome
from decant.score.output import write_scores
from decant.score.prompts import Item, Prompts
from decant.score.store import Store
from decant.score.store.complete import SplitScores
from decant.score.teacher import SHARD

CANDIDATES = 20
POSITIVES = 3  # at most
LENGTH = 60
REPEATS = 4
ROWS = 5_000  # of the set, generated at once

Integers = npt.NDArray[np.int64]


def texts(numbers: Integers, length: int) -> pa.StringArray:
    """A text of letters and spaces for each number, the same for the same number and length."""
    factors = np.random.default_rng(length).integers(1, 2**63, length, dtype=np.uint64) | np.uint64(1)
    letters = ((numbers.astype(np.uint64)[:, None] + np.uint64(1)) * factors >> np.uint64(40)) % np.uint64(26)
    letters = (letters + np.uint64(ord("a"))).astype(np.uint8)
    letters[:, 6::7] = ord(" ")
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * length
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(letters))


def write_set(path: Path, pairs: int) -> None:
    """Write a split of `pairs` query-candidate pairs, whose candidates repeat among neighbouring rows.

    So a thousand rows hold as many distinct texts in a large set as in a small one.
    """
    rng = np.random.default_rng(0)
    window = ROWS * CANDIDATES // REPEATS
    with pq.ParquetWriter(path, LABELLED, compression="zstd") as file:
        for start in range(0, pairs // CANDIDATES, ROWS):
            rows = np.arange(start, min(start + ROWS, pairs // CANDIDATES))
            positives = rng.integers(1, POSITIVES + 1, len(rows))
            columns: list[pa.Array] = [texts(rows, LENGTH)]
            for counts, length in ((positives, LENGTH + 1), (CANDIDATES - positives, LENGTH)):
                offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
                flat = texts(rng.integers(0, window, offsets[-1]) + start // ROWS * window, length)
                columns.append(pa.ListArray.from_arrays(pa.array(offsets), flat))
            file.write_batch(pa.record_batch(columns, schema=LABELLED))


class NoPrompts(Prompts):
    """Of a teacher that reads nothing."""

    def __init__(self) -> None:
        self.max_length = 512

    def contexts(self, task: str) -> tuple[str, str]:
        """See `Prompts.contexts`."""
        return task, ""

    def lengths(self, role: str, texts: Sequence[str], task: str) -> list[int]:
        """See `Prompts.lengths`: a token has four characters."""
        del role, task
        return [len(text) // 4 for text in texts]


class FreeTeacher:
    """Scores each pair at once: a random number, and more where the candidate is as long as positives are."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def read(self, shards: Iterable[tuple[int, Sequence[Item]]], task: str) -> Iterator[tuple[int, Outcome]]:
        """See `TeacherScorer.read`."""
        del task
        for number, items in shards:
            longer = np.fromiter((len(candidate) > LENGTH for _, candidate in items), dtype=bool, count=len(items))
            yield number, Outcome((self.rng.standard_normal(len(items)) + longer).astype(np.float32), {})


def score(folder: Path) -> int:
    """What the stage `score` does with set.parquet, its store in the folder; return the number of pairs."""
    teacher: Any = FreeTeacher()
    path = folder / "set.parquet"
    read_task(path)
    (folder / "scores").mkdir(exist_ok=True)
    with Store(folder / "store", print).open({"made": "up"}, "made:up") as stored:
        split = SplitScores(path, NoPrompts(), stored)
        split.complete(teacher, SHARD, "float32", {"engine": "none"})
        described = write_scores(split, split.scores(), folder / "scores" / "train.parquet")
    write_json(folder / "scores" / "manifest.json", {"files": {"train.parquet": described}})
    pairs: int = described["pairs"]
    return pairs
