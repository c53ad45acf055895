"""A text that an engine cannot score costs itself and not its shard; an engine at fault is told at once."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decant.errors import DecantError
from decant.models.scorer import Scores
from decant.score.engines.base import Forward, Refused
from decant.score.engines.robust import MOST, NOT_FINITE, Outcome, added
from decant.score.engines.robust import forward_shard as forward_shard_with
from decant.score.prompts import Prompt

PLAIN = 1000  # the number of the prompt that a sound engine can score


def prompts(count: int) -> list[Prompt]:
    return [Prompt([number], 1, ("",)) for number in range(count)]


def forward_shard(forward: Forward, shard: list[Prompt]) -> Outcome:
    return forward_shard_with(forward, shard, lambda: [Prompt([PLAIN], 1, ("a",))])


def engine(raising: Sequence[int] = (), nan: Sequence[int] = (), calls: list[int] | None = None) -> Forward:
    """Scores number n as n, raises where one of `raising` is among the prompts, and has no number for `nan`."""

    def forward(batch: Sequence[Prompt]) -> Scores:
        numbers = [prompt.ids[0] for prompt in batch]
        if calls is not None:
            calls.append(len(numbers))
        if bad := [number for number in numbers if number in raising]:
            raise RuntimeError(f"cannot read {bad[0]}\nand more words")
        return np.array([np.nan if number in nan else number for number in numbers], dtype=np.float32)

    return forward


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sets(st.integers(1, 98), max_size=6), st.sets(st.integers(0, 99), max_size=6))
def test_exactly_the_bad_ones_are_set_aside(raising: set[int], nan: set[int]) -> None:
    outcome = forward_shard(engine(list(raising), list(nan)), prompts(100))
    assert outcome.faults.keys() == raising | nan
    assert all(outcome.faults[number] == f"RuntimeError: cannot read {number}" for number in raising)
    assert all(outcome.faults[number] == NOT_FINITE for number in nan - raising)
    good = [number for number in range(100) if number not in outcome.faults]
    assert outcome.values[good].tolist() == good
    assert np.isnan(outcome.values[list(outcome.faults)]).all()


def test_one_bad_text_costs_few_calls() -> None:
    calls: list[int] = []
    forward_shard(engine([37], calls=calls), prompts(4096))
    assert len(calls) == 1 + 1 + 2 * 12  # the shard, its first prompt, and two halves twelve times


def test_without_faults_a_shard_is_one_call() -> None:
    calls: list[int] = []
    outcome = forward_shard(engine(calls=calls), prompts(64))
    assert calls == [64]
    assert outcome.faults == {}


def test_an_engine_that_fails_at_both_ends_is_at_fault() -> None:
    calls: list[int] = []
    with pytest.raises(RuntimeError, match="cannot read 0"):
        forward_shard(engine(range(64), calls=calls), prompts(64))
    assert calls == [64, 1, 1]


@pytest.mark.parametrize("bad", ["raising", "nan"])
def test_too_many_bad_texts_are_the_engines_fault(bad: str) -> None:
    with pytest.raises(DecantError, match=f"more than {MOST} texts of a shard of 200 have no score"):
        forward_shard(engine(**{bad: range(1, 2 * MOST + 3, 2)}), prompts(200))


def test_an_engines_own_error_is_not_tried_again() -> None:
    calls = []

    def forward(batch: Sequence[Prompt]) -> Scores:
        calls.append(len(batch))
        raise DecantError("no server", "start it")

    with pytest.raises(DecantError, match="no server"):
        forward_shard(forward, prompts(8))
    assert calls == [8]


def test_what_a_server_refuses_is_tried_with_less() -> None:
    def forward(batch: Sequence[Prompt]) -> Scores:
        if any(prompt.ids[0] == 3 for prompt in batch):
            raise Refused("it answered 413", "shorten it")
        return np.ones((len(batch), 2), dtype=np.float32)

    outcome = forward_shard(forward, prompts(8))
    assert outcome.faults == {3: "it answered 413"}
    assert outcome.values.shape == (8, 2)
    assert np.isnan(outcome.values[3]).all()


def test_a_shard_of_which_nothing_has_a_score() -> None:
    outcome = forward_shard(engine(nan=[0, 1]), prompts(2))
    assert outcome.faults == {0: NOT_FINITE, 1: NOT_FINITE}
    assert outcome.values.shape == (2,)


@pytest.mark.parametrize("count", [1, 2])
def test_an_engine_that_fails_at_a_small_shard_is_at_fault_where_it_fails_at_a_plain_text_too(count: int) -> None:
    with pytest.raises(RuntimeError, match=f"cannot read {PLAIN}"):
        forward_shard(engine([0, 1, PLAIN]), prompts(count))
    with pytest.raises(DecantError, match="no finite score for any text"):
        forward_shard(engine(nan=[0, 1, PLAIN]), prompts(count))


@pytest.mark.parametrize("count", [1, 2])
def test_the_only_texts_of_a_small_shard_may_be_at_fault(count: int) -> None:
    outcome = forward_shard(engine([0, 1]), prompts(count))
    assert outcome.faults == {number: f"RuntimeError: cannot read {number}" for number in range(count)}


def test_what_a_shard_took_is_counted_and_an_engines_own_figures_come_once() -> None:
    class Engine:
        """One that has counted something by itself."""

        cached = 3

        def __call__(self, batch: Sequence[Prompt]) -> Scores:
            return np.zeros(len(batch), dtype=np.float32)

        def figures(self) -> dict[str, float]:
            cached, self.cached = self.cached, 0
            return {"cached_tokens": cached}

    own = Engine()
    shard = [Prompt([1, 2, 3], 3, ("",)), Prompt([4], 1, ("",))]
    first, second = forward_shard(own, shard).figures, forward_shard(own, shard).figures
    total = added(first, second)
    assert (total["prompts"], total["tokens"], total["cached_tokens"]) == (4, 8, 3)
    assert total["seconds"] == first["seconds"] + second["seconds"] > 0
    assert forward_shard(engine(), shard).figures.keys() == {"prompts", "tokens", "seconds"}
