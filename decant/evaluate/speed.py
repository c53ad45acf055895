"""The speed of a student beside its teacher's: what a smaller model is for. These figures vary from run to run."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any

from decant.data.sets import Split
from decant.errors import DecantError
from decant.files import write_json
from decant.models.scorer import Scorer

SAMPLE_PAIRS = 1000
ROUNDS = 5


def write_speed(path: Path, teacher: AbstractContextManager[Scorer] | str, student: Scorer, split: Split) -> None:
    """Write what `measure_speed` measures."""
    write_json(path, measure_speed(teacher, student, split))


def measure_speed(teacher: AbstractContextManager[Scorer] | str, student: Scorer, split: Split) -> dict[str, Any]:
    """Time the reranking of the first queries of a set, about 1,000 pairs, by both models in turns in this process.

    Each model scores one query before the first round. A bi-encoder encodes each distinct text once, queries included;
    a cross-encoder reads every pair.

    Args:
        teacher: opens it, or says why it cannot be timed.
        student: trained or not: the weights' values do not change its speed.
        split: a test split.

    Returns:
        `measured`: false, with the `reason`; or true, with `teacher` and `student` in pairs a second and `ratio`
        (student / teacher of the same round), each as `median`, `low` and `high` of the `rounds`.
    """
    if isinstance(teacher, str):
        return {"measured": False, "reason": teacher}
    try:
        with teacher as opened:
            return _in_turns({"teacher": opened, "student": student}, split)
    except DecantError as error:  # such as a query that is too long for the teacher
        return {"measured": False, "reason": error.problem}


def _in_turns(models: Mapping[str, Scorer], split: Split) -> dict[str, Any]:
    queries: list[str] = []
    candidates: list[str] = []
    for row in split.rows:
        if len(queries) >= SAMPLE_PAIRS:
            break
        queries += [row.query] * len(row.candidates)
        candidates += row.candidates
    warm_up = len(split.rows[0].candidates)
    for model in models.values():
        model.score(queries[:warm_up], candidates[:warm_up], split.task)
    speeds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, model in models.items():
            start = time.perf_counter()
            model.score(queries, candidates, split.task)
            speeds[name].append(len(queries) / (time.perf_counter() - start))
    ratios = [student / teacher for teacher, student in zip(speeds["teacher"], speeds["student"], strict=True)]
    return {
        "measured": True,
        "pairs": len(queries),
        "rounds": ROUNDS,
        **{name: _spread(values, 1) for name, values in speeds.items()},
        "ratio": _spread(ratios, 3),
    }


def _spread(values: Sequence[float], digits: int) -> dict[str, float]:
    return {name: round(of(values), digits) for name, of in (("median", median), ("low", min), ("high", max))}
