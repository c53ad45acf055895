"""Paired differences and adjusted p-values are those of the textbook."""

import numpy as np
import pytest
from scipy.stats import t, ttest_rel

from decant.report.seeds import paired_difference, paired_differences
from decant.report.settings import ReportSettings
from decant.report.statistics import holm

SETTINGS = ReportSettings(resamples=999, confidence=0.95)


def normal(mean: float, count: int = 200, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two models' values whose differences are normal."""
    rng = np.random.default_rng(seed)
    other = rng.uniform(0, 1, count)
    return other + rng.normal(mean, 0.2, count), other


@pytest.mark.parametrize("mean", [0.0, 0.01, 0.02, 0.03])
def test_the_p_value_and_the_interval_agree_with_the_t_test(mean):
    one, other = normal(mean)
    result = paired_difference(one, other, ReportSettings(resamples=9999, confidence=0.95), 0)
    difference = one - other
    half = t.ppf(0.975, len(one) - 1) * difference.std(ddof=1) / np.sqrt(len(one))
    assert result.mean == pytest.approx(difference.mean())
    assert result.low == pytest.approx(difference.mean() - half, abs=half / 10)
    assert result.high == pytest.approx(difference.mean() + half, abs=half / 10)
    assert result.p_value == pytest.approx(ttest_rel(one, other).pvalue, rel=0.2, abs=0.01)


def test_a_certain_difference_has_the_smallest_p_value_there_is():
    one, other = normal(1.0)
    assert paired_difference(one, other, SETTINGS, 0).p_value == pytest.approx(2 / 1000)


def test_queries_are_compared_in_pairs():
    rng = np.random.default_rng(0)
    other = rng.uniform(0, 1, 100)
    one = other + rng.normal(0.01, 0.01, 100)  # tiny beside the spread over queries, and nearly the same everywhere
    assert paired_difference(one, other, SETTINGS, 0).p_value < 0.01
    assert paired_difference(rng.permutation(one), other, SETTINGS, 0).p_value > 0.1


def test_models_that_never_differ_have_no_difference():
    values = np.linspace(0, 1, 50)
    result = paired_difference(values, values.copy(), ReportSettings(resamples=99, confidence=0.95), 0)
    assert (result.mean, result.low, result.high, result.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_the_difference_is_one_minus_other():
    one, other = normal(0.1)
    gain = paired_difference(one, other, SETTINGS, 0)
    loss = paired_difference(other, one, SETTINGS, 0)
    assert gain.low > 0
    assert loss.high < 0
    assert loss.mean == -gain.mean
    assert (loss.low, loss.high) == pytest.approx((-gain.high, -gain.low), abs=0.01)
    assert loss.p_value == gain.p_value


def test_more_confidence_makes_a_wider_interval():
    one, other = normal(0.01)
    narrow, wide = (paired_difference(one, other, ReportSettings(resamples=999, confidence=c), 0) for c in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_the_seed_alone_decides_the_resamples():
    one, other = normal(0.01)
    once, again, else_ = (paired_difference(one, other, SETTINGS, s) for s in (3, 3, 4))
    assert once == again
    assert else_ != once
    assert else_.mean == once.mean


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
    result = paired_difference(values, np.zeros(len(values)), SETTINGS, 0)
    assert result.mean == pytest.approx(values.mean())
    assert result.low <= result.mean <= result.high
    assert 0.2 < result.p_value <= 1


def test_holms_adjustment_of_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(
    "p_values, adjusted",
    [
        ([], []),
        ([0.04], [0.04]),  # one test alone
        ([0.5, 0.6], [1.0, 1.0]),  # never above 1
        ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),  # equal ones stay equal
        ([0.04, 0.001], [0.04, 0.002]),  # in the order given
    ],
)
def test_holms_adjustment_at_the_edges(p_values, adjusted):
    assert holm(p_values) == pytest.approx(adjusted)


def test_holm_keeps_false_findings_rare_among_many_tests():
    """200 times 12 tests of nothing: at least one p below 0.05 in half of them, adjusted in one of twenty."""
    rng = np.random.default_rng(0)
    tables = rng.uniform(size=(200, 12))
    assert np.mean(tables.min(axis=1) < 0.05) > 0.4
    assert np.mean([min(holm(p_values)) < 0.05 for p_values in tables.tolist()]) < 0.08


def test_several_metrics_are_tested_at_once_as_each_is_alone() -> None:
    rng = np.random.default_rng(5)
    one, other = rng.random((2, 3, 60))
    other[1] = one[1]  # the models never differ in this metric
    together = paired_differences(one, other, SETTINGS, 0)
    assert [found.p_value for found in together][1] == 1
    for place, found in enumerate(together):
        assert vars(found) == pytest.approx(vars(paired_difference(one[place], other[place], SETTINGS, 0)), abs=1e-12)
