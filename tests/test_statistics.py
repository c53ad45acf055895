"""Paired differences are those of the textbook, and the comparison says what was gained and what was lost."""

import re

import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from decant.comparison import TestSettings as Settings
from decant.comparison import compare, markdown, notes, p_value, percent, signed
from decant.metrics import METRICS
from decant.statistics import paired_difference

SETTINGS = Settings(resamples=999, confidence=0.95, seed=0)


def normal(mean: float, count: int = 200, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two models' values whose differences are normal."""
    rng = np.random.default_rng(seed)
    other = rng.uniform(0, 1, count)
    return other + rng.normal(mean, 0.2, count), other


@pytest.mark.parametrize("mean", [0.0, 0.01, 0.02, 0.03])
def test_the_p_value_and_the_interval_agree_with_the_t_test(mean):
    one, other = normal(mean)
    found = paired_difference(one, other, resamples=9999, confidence=0.95, seed=0)
    difference = one - other
    half = t.ppf(0.975, len(one) - 1) * difference.std(ddof=1) / np.sqrt(len(one))
    assert found.mean == pytest.approx(difference.mean())
    assert found.low == pytest.approx(difference.mean() - half, abs=half / 10)
    assert found.high == pytest.approx(difference.mean() + half, abs=half / 10)
    assert found.p_value == pytest.approx(ttest_rel(one, other).pvalue, rel=0.2, abs=0.01)


def test_a_certain_difference_has_the_smallest_p_value_there_is():
    one, other = normal(1.0)
    assert paired_difference(one, other, resamples=999, confidence=0.95, seed=0).p_value == pytest.approx(2 / 1000)


def test_queries_are_compared_in_pairs():
    rng = np.random.default_rng(0)
    other = rng.uniform(0, 1, 100)
    one = other + rng.normal(0.01, 0.01, 100)  # tiny beside the spread over queries, and nearly the same everywhere
    assert paired_difference(one, other, resamples=999, confidence=0.95, seed=0).p_value < 0.01
    assert paired_difference(rng.permutation(one), other, resamples=999, confidence=0.95, seed=0).p_value > 0.1


def test_models_that_never_differ_have_no_difference():
    values = np.linspace(0, 1, 50)
    found = paired_difference(values, values.copy(), resamples=99, confidence=0.95, seed=0)
    assert (found.mean, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_the_difference_is_one_minus_other():
    one, other = normal(0.1)
    gain = paired_difference(one, other, resamples=999, confidence=0.95, seed=0)
    loss = paired_difference(other, one, resamples=999, confidence=0.95, seed=0)
    assert gain.low > 0
    assert loss.high < 0
    assert loss.mean == -gain.mean
    assert (loss.low, loss.high) == pytest.approx((-gain.high, -gain.low), abs=0.01)
    assert loss.p_value == gain.p_value


def test_more_confidence_makes_a_wider_interval():
    one, other = normal(0.01)
    narrow, wide = (paired_difference(one, other, resamples=999, confidence=c, seed=0) for c in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_the_seed_alone_decides_the_resamples():
    one, other = normal(0.01)
    first, again, else_ = (paired_difference(one, other, resamples=999, confidence=0.95, seed=s) for s in (3, 3, 4))
    assert first == again
    assert else_ != first
    assert else_.mean == first.mean


@pytest.mark.parametrize(
    "difference",
    [
        [0.5],  # a set with a single query
        [0.5, 0.5],  # all queries differ alike
        [0.0, 0.5],  # one does not differ
        [1e-12, -1e-12, 2e-12],  # differences of rounding
    ],
)
def test_a_handful_of_queries_proves_nothing_and_breaks_nothing(difference):
    values = np.array(difference)
    found = paired_difference(values, np.zeros(len(values)), resamples=999, confidence=0.95, seed=0)
    assert found.mean == pytest.approx(values.mean())
    assert found.low <= found.mean <= found.high
    assert 0.2 < found.p_value <= 1


def models(**means: float) -> dict[str, dict[str, np.ndarray]]:
    """Models whose metric is `mean` on average, spread evenly over 40 queries."""
    return {name: {metric: mean + np.linspace(-0.1, 0.1, 40) for metric in METRICS} for name, mean in means.items()}


def test_the_share_of_the_gap_that_was_closed():
    entry = compare(models(before=0.4, after=0.5, teacher=0.6), SETTINGS)["map"]
    assert entry["gap_closed"] == pytest.approx(0.5)
    assert entry["relative_change"] == pytest.approx(0.25)
    assert entry["change"]["mean"] == pytest.approx(0.1)
    assert (entry["before"], entry["after"], entry["teacher"]) == (0.4, 0.5, 0.6)


@pytest.mark.parametrize(
    "after, teacher, expected",
    [
        (0.7, 0.6, 1.5),  # better than its teacher
        (0.3, 0.6, -0.5),  # worse than before
        (0.5, 0.4, None),  # the teacher is no better than before
        (0.5, 0.3, None),  # the teacher is worse
    ],
)
def test_a_gap_is_closed_only_where_there_is_one(after, teacher, expected):
    closed = compare(models(before=0.4, after=after, teacher=teacher), SETTINGS)["map"]["gap_closed"]
    assert closed == (None if expected is None else pytest.approx(expected))


def test_a_gap_of_rounding_is_no_gap():
    values = {"before": [0.3, 0.2, 0.1], "after": [0.5, 0.2, 0.1], "teacher": [0.1, 0.2, 0.3]}
    assert np.mean(values["teacher"]) - np.mean(values["before"]) > 0  # the same values, added in another order
    made = {name: dict.fromkeys(METRICS, np.array(value)) for name, value in values.items()}
    assert compare(made, SETTINGS)["map"]["gap_closed"] is None


def test_without_a_teacher_there_is_no_gap():
    entry = compare(models(before=0.4, after=0.5), SETTINGS)["map"]
    assert entry["gap_closed"] is None
    assert "teacher" not in entry


def test_a_start_at_zero_has_no_relative_change():
    zero = dict.fromkeys(METRICS, np.zeros(40))
    assert compare({**models(after=0.5), "before": zero}, SETTINGS)["map"]["relative_change"] is None


def test_the_labels_only_student_is_compared_where_it_was_trained():
    assert "over_labels_only" not in compare(models(before=0.4, after=0.5), SETTINGS)["map"]
    entry = compare(models(before=0.4, after=0.5, labels_only=0.55), SETTINGS)["map"]
    assert entry["over_labels_only"]["mean"] == pytest.approx(-0.05)
    assert entry["labels_only"] == 0.55


def test_queries_won_and_lost_are_counted():
    made = models(before=0.4, after=0.4)
    made["after"]["map"] = made["before"]["map"] + np.array([0.1] * 12 + [0.0] * 20 + [-0.1] * 8)
    result = compare(made, SETTINGS)
    assert (result["wins"], result["ties"], result["losses"], result["queries"]) == (12, 20, 8, 40)


def comparison(after: float, *, fresh_head: bool = False, teacher: float = 0.6, **more: float) -> dict:
    entry = compare(models(before=0.5, after=after, teacher=teacher, **more), SETTINGS)
    domains = {"in_domain": {"dataset": "own-set", **entry}}
    return {"embedding": {"fresh_head": fresh_head, "resamples": 999, "confidence": 0.95, "domains": domains}}


def cost(student_speed: float = 300.0) -> dict:
    return {
        "embedding": {
            "teacher": {"parameters": 40_000_000, "bytes": 160_000_000, "pairs_per_second": 100.0},
            "student": {"parameters": 10_000_000, "bytes": 40_000_000, "pairs_per_second": student_speed},
        }
    }


def test_the_table_shows_every_metric_with_signs():
    text = markdown(comparison(0.45), cost())
    rows = [line for line in text.splitlines() if line.startswith("| embedding | own-set, in-domain")]
    assert [row.split(" | ")[2] for row in rows] == ["MAP", "MRR@10", "nDCG@10"]
    for row in rows:
        cells = row.strip("| ").split(" | ")
        assert cells[3:6] == ["0.5000", "0.4500", "0.6000"]
        assert cells[6:] == ["-0.0500 (-0.0500 … -0.0500)", "≤ 0.0020", "-10.0 %", "-50.0 %"]
    assert "+0.0500 (+0.0500 … +0.0500)" in markdown(comparison(0.55), cost())
    assert "| +10.0 % | 50.0 % |" in markdown(comparison(0.55), cost())


def test_the_tables_are_whole():
    for made in (comparison(0.55), comparison(0.55, labels_only=0.52), comparison(0.55, teacher=0.5)):
        tables = [block.splitlines() for block in markdown(made, cost()).split("\n\n") if block.startswith("|")]
        assert len(tables) == 2
        for table in tables:
            assert len({line.count("|") for line in table}) == 1


def test_a_value_that_there_is_not_is_a_dash():
    row = markdown(comparison(0.55, teacher=0.5), cost()).splitlines()[2]
    assert row.endswith("| +10.0 % | – |")


def test_the_interval_is_headed_by_its_confidence():
    assert "95 % interval" in markdown(comparison(0.55), cost()).splitlines()[0]


@pytest.mark.parametrize("after, fell", [(0.45, True), (0.55, False), (0.5, False)])
def test_a_loss_is_noted_and_nothing_else_is(after, fell):
    text = markdown(comparison(after), cost())
    assert ("- embedding, in-domain (own-set): MAP fell by 0.0500 (significant, p ≤ 0.0020)." in text) == fell
    assert ("MAP fell" in text) == fell


def test_a_loss_that_chance_explains_is_not_called_significant():
    made = models(before=0.5, after=0.5, teacher=0.6)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 40)
    made["after"]["map"] = made["before"]["map"] + noise - noise.mean() - 0.001
    domains = {"in_domain": {"dataset": "own-set", **compare(made, SETTINGS)}}
    block = {"fresh_head": False, "resamples": 999, "confidence": 0.95, "domains": domains}
    text = "\n".join(notes({"embedding": block}, cost()))
    assert re.search(r"MAP fell by 0\.0010 \(not significant, p 0\.[89]", text)


def test_a_student_below_its_teacher_is_noted():
    below = "embedding, in-domain (own-set): the student stays 0.0500 MAP below its teacher."
    assert below in notes(comparison(0.55), cost())
    assert not any("below its teacher" in note for note in notes(comparison(0.65), cost()))


@pytest.mark.parametrize("fresh", [True, False])
def test_an_untrained_start_is_noted(fresh):
    found = notes(comparison(0.55, fresh_head=fresh), cost())
    assert any("`before` is an untrained head" in note for note in found) == fresh


@pytest.mark.parametrize(
    "speed, told",
    [
        (300.0, "faster than its teacher, at 3.00 times its speed, with 25 % of its parameters."),
        (50.0, "slower than its teacher, at 0.50 times its speed, with 25 % of its parameters."),
    ],
)
def test_a_student_slower_than_its_teacher_is_called_slower(speed, told):
    assert any(note.endswith(told) for note in notes(comparison(0.55), cost(speed)))


def test_a_missing_labels_only_student_is_noted_and_a_present_one_is_shown():
    assert any("No labels-only student" in note for note in notes(comparison(0.55), cost()))
    shown = comparison(0.55, labels_only=0.52)
    assert not any("No labels-only student" in note for note in notes(shown, cost()))
    assert " | teacher | labels only | " in markdown(shown, cost())
    assert " | 0.5200 | " in markdown(shown, cost())


@pytest.mark.parametrize(
    "shown, expected",
    [
        (signed(0.12345), "+0.1235"),
        (signed(-0.5), "-0.5000"),
        (signed(0.0), "+0.0000"),
        (percent(None), "–"),
        (percent(0.256), "25.6 %"),
        (percent(0.256, plus=True), "+25.6 %"),
        (percent(0.95, digits=0), "95 %"),
        (p_value(0.0002, 9999), "≤ 0.0002"),  # the smallest that so many resamples can tell
        (p_value(0.0004, 9999), "0.0004"),
        (p_value(1.0, 99), "1.0000"),
    ],
)
def test_figures_are_shown_as_agreed(shown, expected):
    assert shown == expected
