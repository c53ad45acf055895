"""The speed of a student beside its teacher's: what a smaller model is for. These figures vary from run to run."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import cycle
from statistics import median
from typing import Any

from decant.data.sets import Row, Split
from decant.errors import DecantError
from decant.evaluate.run import score_rows
from decant.models.scorer import Scorer

SAMPLE_PAIRS = 500
ROUNDS = 5


def measure_speed(teacher: AbstractContextManager[Scorer] | str, student: Scorer, split: Split) -> dict[str, Any]:
    """Time the reranking of a set by both models in turns in this process, about 500 pairs a round.

    Each model scores one query before the first round. A bi-encoder encodes each distinct text once, queries included;
    a cross-encoder reads every pair. The student may be untrained: the weights' values do not change its speed.

    Args:
        teacher: opens it, or says why it cannot be timed.
        student: of the same track.
        split: a test split.

    Returns:
        `measured`: false, with the `reason`; or true, with `teacher` and `student` in pairs a second and `ratio`
        (student / teacher of the same round), each as `median`, `low` and `high` of the `rounds`.
    """
    if isinstance(teacher, str):
        return {"measured": False, "reason": teacher}
    try:
        with teacher as opened:
            speeds = in_turns({"teacher": opened, "student": student}, split)
    except DecantError as error:  # such as a query that is too long for the teacher
        return {"measured": False, "reason": error.problem}
    ratios = [student / teacher for teacher, student in zip(speeds["teacher"], speeds["student"], strict=True)]
    spreads = {name: spread(values, 1) for name, values in speeds.items()}
    return {"measured": True, "rounds": ROUNDS, **spreads, "ratio": spread(ratios, 3)}


def in_turns(models: Mapping[str, Scorer], split: Split) -> dict[str, list[float]]:
    """Pairs a second of each model, by its name, in each of the rounds; see `measure_speed`."""
    split = max(split.parts(), key=lambda part: len(part.rows))  # of one task
    rows = cycle(split.rows)  # an engine may keep what it read: each round has other pairs where the set has enough
    speeds: dict[str, list[float]] = {name: [] for name in models}
    for model in models.values():
        _time(model, split.rows[:1], split.task)
    for _ in range(ROUNDS):
        sample: list[Row] = []
        while sum(len(row.candidates) for row in sample) < SAMPLE_PAIRS and len(sample) < len(split.rows):
            sample.append(next(rows))
        for name, model in models.items():
            speeds[name].append(_time(model, sample, split.task))
    return speeds


def spread(values: Sequence[float], digits: int) -> dict[str, float]:
    """`median`, `low` and `high` of the rounds."""
    return {name: round(of(values), digits) for name, of in (("median", median), ("low", min), ("high", max))}


def _time(model: Scorer, rows: Sequence[Row], task: str) -> float:
    """Pairs a second."""
    start = time.perf_counter()
    pairs = len(score_rows(model, rows, task))
    return pairs / (time.perf_counter() - start)
