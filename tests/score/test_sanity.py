"""Scores that cannot be right are refused, each for its own reason; scores of real models are not."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decant.data.sets import Row, Split
from decant.errors import DecantError
from decant.score import selftest
from decant.score.sanity import MOST_AT_ONE_VALUE, Order, _right_order, check_values
from decant.score.selftest import TOLERANCES, draw_sample, judge, reference_scores
from decant.score.settings import Teacher
from tests.support import tiny_models as tiny

RNG = np.random.default_rng(0)
SPREAD = RNG.normal(0, 4, 200).astype(np.float32)


def check(rows: list[Row], scores: np.ndarray) -> None:
    """What is checked of a file of scores."""
    numbers = np.array([number for number, row in enumerate(rows) for _ in row.candidates], np.int32)
    labels = np.array([-1 if label is None else label for row in rows for label in row.labels], np.int8)
    order = Order()
    half = int(np.searchsorted(numbers, len(rows) // 2))
    for part in (slice(None, half), slice(half, None)):
        order.add(numbers[part], labels[part], scores[part])
    order.check("train")


def with_values(*values: float) -> np.ndarray:
    scores = SPREAD.copy()
    scores[: len(values)] = values
    return scores


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (with_values(1, np.nan), "1 of 200 scores are NaN, the first that of pair 1"),
        (with_values(np.inf, -np.inf), "2 of 200 scores are infinite"),
        (np.full(200, -3.25, np.float32), "constant: all 200 are -3.25"),
        (np.zeros(200, np.float32), "constant: all 200 are 0"),
        (np.full(200, 0.5, np.float32), "all 200 scores are 0.5"),
        (RNG.normal(0.5, 1e-4, 200).astype(np.float32), "all 200 scores are 0.5"),
        (with_values(*[-10.0] * 51), "saturated: 51 of 200 are -10"),
        (np.clip(SPREAD, 0, 1), "saturated"),
        (np.clip(1 / (1 + np.exp(-SPREAD)), 0.4, 0.6), "saturated"),
    ],
    ids=["nan", "inf", "constant", "zero", "half", "almost half", "sentinel", "clamp", "sigmoid"],
)
def test_what_is_refused(scores: np.ndarray, message: str) -> None:
    with pytest.raises(DecantError, match=message) as caught:
        check_values(scores.astype(np.float32), "train")
    assert caught.value.problem.startswith("train: ")
    assert "look" in str(caught.value)


@pytest.mark.parametrize(
    "scores",
    [SPREAD, np.tanh(SPREAD / 9), with_values(*[-10.0] * int(200 * MOST_AT_ONE_VALUE)), SPREAD[:16], SPREAD[:1]],
    ids=["log-odds", "cosines", "as many as allowed", "few", "one"],
)
def test_what_is_accepted(scores: np.ndarray) -> None:
    check_values(scores.astype(np.float32), "train")


ROWS = [Row(f"query {n}", [f"positive {n}"], [f"negative {n} {k}" for k in range(3)]) for n in range(50)]


def test_a_split_whose_positives_lose_is_sign_flipped() -> None:
    right = np.array([[2, 0, -1, 1.9]] * 50, np.float32) + RNG.normal(0, 0.01, (50, 4)).astype(np.float32)
    check(ROWS, right.ravel())
    with pytest.raises(DecantError, match=r"train: the scores look sign-flipped: .* only 0\.0%"):
        check(ROWS, -right.ravel())


def test_an_unlabelled_split_cannot_be_sign_flipped() -> None:
    rows = [Row(f"query {n}", unlabelled=["a", "b"]) for n in range(50)]
    check(rows, RNG.normal(size=100).astype(np.float32))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.tuples(st.booleans(), st.integers(-2, 2)), min_size=1, max_size=6), min_size=1, max_size=6))
def test_the_order_of_ranks_is_that_of_all_comparisons(rows: list[list[tuple[bool, int]]]) -> None:
    shares = []
    for row in rows:
        wins = [(p > n) + 0.5 * (p == n) for good, p in row if good for bad, n in row if not bad]
        shares += [np.mean(wins)] if wins else []
    flat = [(number, good, score) for number, row in enumerate(rows) for good, score in row]
    numbers, labels, scores = (np.array(column) for column in zip(*flat, strict=True))
    found = _right_order(numbers.astype(np.int32), labels, scores.astype(np.float32))
    assert found == pytest.approx(shares)


def test_the_sample_is_drawn_from_the_set() -> None:
    sample = draw_sample(Split(ROWS, "find it"), seed=3)
    assert (len(sample.queries), len(sample.candidates), sample.positives, sample.task) == (16, 16, 8, "find it")
    assert sample.queries[:8] == sample.queries[8:]
    for query, positive, other in zip(sample.queries, sample.candidates[:8], sample.candidates[8:], strict=False):
        number = query.split()[1]
        assert positive == f"positive {number}"
        assert other.split()[1] != number
    assert draw_sample(Split(ROWS, "find it"), seed=3) == sample
    assert draw_sample(Split(ROWS, "find it"), seed=4) != sample
    assert draw_sample(Split([Row("q", unlabelled=["a", "b"])] * 9, ""), seed=0).positives == 0


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("kind", ["bi_encoder", "causal_lm"])
def test_the_self_test_refuses_an_engine_that_differs(kind: str, dtype: str, tmp_path: object) -> None:
    sample = draw_sample(Split(ROWS, ""), seed=0)
    scores = np.linspace(3, -3, 16).astype(np.float32)
    bar = TOLERANCES[dtype][kind != "bi_encoder"]
    teacher = tiny.teacher(kind, "vllm", tmp_path, dtype=dtype)
    off = scores.copy()
    off[5] += 0.9 * bar
    report = judge(teacher, sample, off, scores)
    assert report["tolerance"] == bar
    assert report["largest_difference"] == pytest.approx(0.9 * bar, rel=0.1)
    off[5] += 0.2 * bar
    with pytest.raises(DecantError, match="differ from the plain library's by up to"):
        judge(teacher, sample, off, scores)
    with pytest.raises(DecantError, match="sign-flipped"):
        judge(teacher, sample, -scores, -scores)


def test_the_reference_runs_in_this_process_whatever_pool_the_engine_runs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would leave an actor of Ray's, which holds the GPU that the engine needs."""
    made: list[tuple[Teacher, bool]] = []

    class Reference:
        def __init__(self, teacher: Teacher, folder: Path) -> None:
            assert folder == tmp_path
            made.append((teacher, False))

        def __enter__(self) -> "Reference":
            return self

        def __exit__(self, *_: object) -> None:
            made[-1] = (made[-1][0], True)

        def score(self, queries: list[str], *_: object) -> np.ndarray:
            return np.zeros(len(queries), np.float32)

    monkeypatch.setattr(selftest, "TeacherScorer", Reference)
    monkeypatch.setattr(selftest, "model_size", lambda _: {"parameters": 1, "bytes": 1})
    teacher = tiny.teacher("causal_lm", "vllm", tmp_path, engine_pool="ray", engines=4, tensor_parallel=2)
    sample = draw_sample(Split(ROWS, ""), seed=0)
    scores, where = reference_scores(teacher, tmp_path, sample)
    assert scores is not None
    assert where.startswith("transformers on the ")
    [(reference, left)] = made
    assert (reference.engine, reference.engine_pool, reference.engines) == ("transformers", "processes", 1)
    assert reference.tensor_parallel == 1
    assert left
