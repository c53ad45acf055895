"""A speed ratio comes from timings taken in turns in one process, and nothing stands in its place."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import pytest

from decant.data.sets import Row, Split
from decant.errors import DecantError
from decant.evaluate.speed import measure_speed
from decant.models.scorer import Scores

Calls = list[tuple[str, tuple[str, ...]]]  # model and queries


class Clock:
    """A scorer that takes as long as it is told, on a clock that only it moves."""

    kind = "bi_encoder"

    def __init__(self, name: str, calls: Calls, seconds: Callable[[int], float]) -> None:
        self.name, self.calls, self.seconds = name, calls, seconds

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:
        assert task == "a task"
        self.calls.append((self.name, tuple(queries)))
        Clock.now += self.seconds(len([name for name, _ in self.calls if name == self.name])) * len(candidates)
        return np.zeros(len(queries), dtype=np.float32)

    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decant.evaluate.speed.time.perf_counter", lambda: Clock.now)


def test_teacher_and_student_are_timed_in_turns_and_the_median_of_the_rounds_is_told(clock: None) -> None:
    rows = [Row(f"query {n}", ["a"], [str(m) for m in range(99)]) for n in range(20)]
    calls: Calls = []
    teacher = Clock("teacher", calls, lambda call: {1: 50.0, 2: 0.02, 5: 0.05}.get(call, 0.01))  # the first is warm-up
    student = Clock("student", calls, lambda call: {1: 50.0, 3: 0.01}.get(call, 0.002))
    speed = measure_speed(nullcontext(teacher), student, Split(rows, "a task"))
    assert [name for name, _ in calls] == ["teacher", "student"] * 6
    samples = [queries for name, queries in calls[2:] if name == "student"]
    assert samples == [queries for name, queries in calls[2:] if name == "teacher"]
    assert [len(queries) for queries in samples] == [500] * 5
    assert samples[0] != samples[1] != samples[2] != samples[3] != samples[0] == samples[4]  # 2,000 pairs, in turns
    assert speed["teacher"] == {"median": 100.0, "low": 20.0, "high": 100.0}
    assert speed["student"] == {"median": 500.0, "low": 100.0, "high": 500.0}
    assert speed["ratio"] == {"median": 5.0, "low": 1.0, "high": 25.0}
    assert (speed["measured"], speed["rounds"]) == (True, 5)


def test_a_set_of_few_pairs_is_timed_whole(clock: None) -> None:
    calls: Calls = []
    both = [Clock(name, calls, lambda _: 0.01) for name in ("teacher", "student")]
    speed = measure_speed(nullcontext(both[0]), both[1], Split([Row("q", ["a"], ["b"]), Row("p", ["a"], [])], "a task"))
    assert [sorted(queries) for _, queries in calls[2:]] == [["p", "q", "q"]] * 10
    assert speed["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}


def test_what_cannot_be_timed_has_no_figure_but_a_reason(clock: None) -> None:
    def refuse(call: int) -> float:
        raise DecantError(f"the query of call {call} is too long", "shorten it")

    calls: Calls = []
    teacher, student = Clock("teacher", calls, refuse), Clock("student", calls, lambda _: 0.01)
    split = Split([Row("q", ["a"], ["b"])], "a task")
    assert measure_speed("it must not start", student, split) == {"measured": False, "reason": "it must not start"}
    assert calls == []
    told = {"measured": False, "reason": "the query of call 1 is too long"}
    assert measure_speed(nullcontext(teacher), student, split) == told
