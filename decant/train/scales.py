"""How the teacher's scores are brought to what the student can express, where params say `auto`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from decant.train.losses import LOSSES
from decant.train.settings import Loss

BATCH = 1 << 14
SAMPLE = 256  # n-tuples whose margins are measured
FRESH_MARGIN = 2.5  # of logits: what an untrained head is asked to express, odds of 12 to 1
Student = Callable[[Sequence[str], Sequence[str]], npt.NDArray[np.float32]]


def resolve(loss: Loss, tuples: Path, student: Student | None, tell: Callable[[str], None]) -> Loss:
    """The settings with a number in place of each `auto` that the loss uses, measured on a file of n-tuples."""
    measure = {
        "teacher_temperature": lambda: teacher_temperature(tuples),
        "teacher_scale": lambda: teacher_scale(tuples, student),
    }
    used = LOSSES[loss.name].scales if loss.label_weight < 1 else ()
    numbers = {name: measure[name]() for name in used if getattr(loss, name) == "auto"}
    for name, number in numbers.items():
        tell(f"loss.{name} auto: {number:.4g}")
    return loss.model_copy(update=numbers)


def teacher_temperature(tuples: Path) -> float:
    """The temperature at which two candidates a standard deviation apart have odds of e² (7) to 1.

    The deviation is that of the teacher's scores within an n-tuple, on average, so that their scale divides out, as in
    Sun et al., Logit Standardization (arXiv:2403.01569). At temperature 1 cosines would be an almost flat target.
    """
    total, count = 0.0, 0
    with pq.ParquetFile(tuples) as file:
        for batch in file.iter_batches(BATCH, columns=["scores"]):
            scores = batch["scores"].flatten().to_numpy().reshape(len(batch), -1)
            total += float(scores.std(axis=1, dtype=np.float64).sum())
            count += len(batch)
    return max(total / count / 2, 1e-6)


def teacher_scale(tuples: Path, student: Student | None) -> float:
    """The factor that makes the teacher's margins as large as the student's are before it is trained.

    Both are root mean squares over the first n-tuples of the file. `student` scores queries with candidates; it is None
    for one with a fresh head, which has no margins yet.
    """
    with pq.ParquetFile(tuples) as file:
        rows: list[dict[str, Any]] = next(file.iter_batches(SAMPLE)).to_pylist()
    wanted = np.array([row["scores"] for row in rows], dtype=np.float64)
    margin = FRESH_MARGIN
    if student is not None:
        candidates = [[row["positive"], *row["negatives"]] for row in rows]
        queries = [row["query"] for row, texts in zip(rows, candidates, strict=True) for _ in texts]
        own = student(queries, [text for texts in candidates for text in texts])
        margin = _margin(own.reshape(wanted.shape).astype(np.float64))
    return margin / max(_margin(wanted), 1e-9)


def _margin(scores: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((scores[:, :1] - scores[:, 1:]) ** 2)))
