"""Seeds are kept apart from queries: what is claimed of a method covers both, and one seed claims nothing of it."""

import numpy as np
import pytest
from scipy.stats import t

from decant.errors import DecantError
from decant.report.seeds import Aggregate, aggregate, paired_difference, ratio, seed_difference
from decant.report.settings import ReportSettings
from decant.report.statistics import mean_interval, randomisation_p_values

SETTINGS = (ReportSettings(resamples=999, confidence=0.95), 0)  # and the seed


def crossed(rng: np.random.Generator, seeds: int, *, queries: int = 300, of_seed: float, of_query: float, rest: float):
    """Values with a true mean of 0, shape (seeds, queries), of normal seeds and rest and heavy-tailed queries."""
    return (
        of_seed * rng.normal(size=(seeds, 1))
        + of_query * rng.standard_t(4, size=(1, queries))
        + rest * rng.normal(size=(seeds, queries))
    )


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("of_seed", [0.0, 0.01, 0.03])
def test_the_interval_holds_the_truth_as_often_as_it_says(seeds, of_seed):
    rng = np.random.default_rng(0)
    drawn = [crossed(rng, seeds, of_seed=of_seed, of_query=0.15, rest=0.1) for _ in range(400)]
    found = [aggregate(values, *SETTINGS) for values in drawn]
    assert 0.87 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.98
    if of_seed == 0.03:  # where seeds matter, queries alone would hold it too rarely
        alone = [mean_interval(values.mean(axis=0), *SETTINGS) for values in drawn]
        assert np.mean([low <= 0 <= high for low, high in alone]) < 0.85


def test_seeds_that_are_worth_nothing_are_not_taken_for_more_queries():
    """The same values three times are one seed's: no more is known of the queries than from one."""
    values = np.random.default_rng(0).uniform(size=200)
    one, three = (aggregate(np.tile(values, (count, 1)), *SETTINGS) for count in (1, 3))
    assert three.seed_deviation == pytest.approx(0, abs=1e-12)
    assert three.high - three.low == pytest.approx(one.high - one.low, rel=0.05)


def test_queries_that_do_not_differ_leave_the_seeds_interval():
    means = np.array([0.50, 0.52, 0.57])
    found = aggregate(np.repeat(means[:, None], 100, axis=1), *SETTINGS)
    half = t.ppf(0.975, 2) * means.std(ddof=1) / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((means.mean() - half, means.mean() + half))
    assert found.seed_deviation == pytest.approx(means.std(ddof=1))


@pytest.mark.parametrize("seed", range(8))
def test_seeds_that_agree_by_chance_neither_narrow_the_interval_nor_blow_it_up(seed):
    """Equal means of the seeds, and no queries that all of them find hard: only the rest is left."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(3, 200))
    values -= values.mean(axis=1, keepdims=True)
    found = aggregate(values, *SETTINGS)
    assert found.seed_deviation == pytest.approx(0, abs=1e-12)
    over_queries = t.ppf(0.975, 199) * values.mean(axis=0).std(ddof=1) / np.sqrt(200)
    assert over_queries * (1 - 1e-9) <= found.high < 3 * over_queries


def test_the_mean_square_sums_are_those_of_the_two_way_analysis_of_variance():
    """A worked case: 2 seeds and 3 queries."""
    values = np.array([[1.0, 5.0, 3.0], [2.0, 6.0, 7.0]])
    seeds, queries = values.shape
    mean = values.mean()
    by_seed = queries * ((values.mean(axis=1) - mean) ** 2).sum()
    by_query = seeds * ((values.mean(axis=0) - mean) ** 2).sum() / 2
    residual = (((values - mean) ** 2).sum() - by_seed - 2 * by_query) / 2
    assert (by_seed, by_query, residual) == pytest.approx((6, 9.5, 1.5))
    squares = by_seed + by_query - residual
    freedom = squares**2 / (by_seed**2 + by_query**2 / 2 + residual**2 / 2)
    half = t.ppf(0.975, freedom) * np.sqrt(squares / 6)
    found = aggregate(values, *SETTINGS)
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half))


def test_one_seed_is_its_checkpoint_over_queries():
    rng = np.random.default_rng(0)
    one, other = rng.uniform(size=(2, 1, 100))
    found = seed_difference(one, other, *SETTINGS)
    paired = paired_difference(one[0], other[0], *SETTINGS)
    assert found == paired
    difference = one[0] - other[0]
    assert (found.low, found.high) == mean_interval(difference, *SETTINGS)
    assert (found.mean, found.p_value) == (difference.mean(), *randomisation_p_values(difference[None], *SETTINGS))
    assert (found.seed_deviation, found.seeds, found.queries) == (None, 1, 100)


def test_differences_are_paired_by_seed_and_query():
    rng = np.random.default_rng(0)
    other = crossed(rng, 3, of_seed=0.05, of_query=0.3, rest=0.1)
    one = other + rng.normal(0.02, 0.02, other.shape)
    found = seed_difference(one, other, *SETTINGS)
    assert found.mean == pytest.approx((one - other).mean())
    assert found.low > 0.015
    assert found.seed_deviation < 0.005
    assert found.p_value == pytest.approx(2 / 1000)
    for shuffled in (other[[1, 2, 0]], rng.permutation(other, axis=1)):
        assert seed_difference(one, shuffled, *SETTINGS).low < 0


def test_the_p_value_is_that_of_the_seeds_mean_over_queries():
    rng = np.random.default_rng(0)
    one, other = rng.uniform(size=(2, 3, 60))
    found = seed_difference(one, other, *SETTINGS)
    paired = paired_difference(one.mean(axis=0), other.mean(axis=0), *SETTINGS)
    assert found.p_value == pytest.approx(paired.p_value)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (3, 1), (1, 5), (4, 5)])
def test_models_that_never_differ_have_no_difference(shape):
    values = np.full(shape, 0.5)
    found = seed_difference(values, values.copy(), *SETTINGS)
    assert (found.mean, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_an_aggregate_of_equal_values_has_no_width():
    assert aggregate(np.full((3, 4), 0.25), *SETTINGS) == Aggregate(0.25, 0.25, 0.25, 0.0, 3, 4)


def test_more_confidence_makes_a_wider_interval():
    values = crossed(np.random.default_rng(0), 3, of_seed=0.02, of_query=0.2, rest=0.1)
    narrow, wide = (aggregate(values, ReportSettings(resamples=99, confidence=level), 0) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DecantError, match=r"\(2, 5\) and \(3, 5\)"):
        seed_difference(np.zeros((2, 5)), np.zeros((3, 5)), *SETTINGS)
    for shape in ((5,), (0, 5), (2, 0)):
        with pytest.raises(DecantError, match="shape"):
            aggregate(np.zeros(shape), *SETTINGS)


def test_the_interval_of_a_ratio_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        hard = rng.normal(size=300)  # queries that are hard for the one are hard for the other
        reference = 0.5 + 0.15 * hard + 0.05 * rng.normal(size=300)
        values = 0.6 + 0.15 * hard + 0.01 * rng.normal(size=(3, 1)) + 0.05 * rng.normal(size=(3, 300))
        found = ratio(values, reference, *SETTINGS)
        assert found.mean == values.mean() / reference.mean()
        held += found.low <= 1.2 <= found.high
    assert 0.91 <= held / 400 <= 0.98


def test_a_ratio_to_the_model_itself_is_one_for_certain_and_one_seed_knows_the_queries_alone():
    values = np.random.default_rng(0).uniform(size=(1, 200))
    same = ratio(values, values[0], *SETTINGS)
    assert (same.mean, same.low, same.high, same.seed_deviation) == (1.0, 1.0, 1.0, None)
    doubled = ratio(2 * values, values[0], *SETTINGS)
    assert (doubled.mean, doubled.low, doubled.high) == pytest.approx((2.0, 2.0, 2.0))
    other = ratio(values, values[0, ::-1], *SETTINGS)
    assert other.low < 1.0 < other.high
