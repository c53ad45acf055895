"""Several training seeds of one method, kept apart from queries: what another seed and other queries would change.

One seed is one checkpoint: its intervals are over queries alone, and claim nothing of the method.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from decant.errors import DecantError
from decant.report.settings import ReportSettings
from decant.report.statistics import Values, mean_interval, randomisation_p_values


@dataclass(frozen=True)
class Aggregate:
    """A mean over seeds and queries, and its confidence interval: over both, or over queries where there is one seed.

    `seed_deviation` is the standard deviation of the seeds' means; None of one seed.
    """

    mean: float
    low: float
    high: float
    seed_deviation: float | None
    seeds: int
    queries: int


@dataclass(frozen=True)
class SeedDifference(Aggregate):
    """The mean difference of two models, paired by seed and query; `seed_deviation` is that of the differences."""

    p_value: float

    def rounded(self) -> dict[str, float]:
        """What metrics files keep of it."""
        return {name: round(getattr(self, name), 6) for name in ("mean", "low", "high", "p_value")}


def aggregate(values: Values, settings: ReportSettings, seed: int) -> Aggregate:
    """The mean of one model's seeds over the same queries, and its interval.

    Of several seeds the interval is that of a crossed design with both factors random: the variance components of
    seeds, queries and the rest come from the two-way analysis of variance, the degrees of freedom from Satterthwaite
    (1946, https://doi.org/10.2307/3002019). A bootstrap that resamples seeds and queries (Owen, 2007,
    https://arxiv.org/abs/0712.1111) cannot see beyond its 2 to 5 seeds; docs/statistics.md has how often the
    interval holds the truth. It is never narrower than that over queries alone would be.

    Args:
        values: metric of each query, shape (seeds, queries), the queries in the same order for all seeds.
        settings: the confidence; of one seed, the resamples of the bootstrap over queries too.
        seed: of the bootstrap.

    Raises:
        DecantError: there is no value.
    """
    if values.ndim != 2 or not values.size:
        raise DecantError(f"values of the shape {values.shape}", "give one row a seed and one column a query")
    mean, deviation = float(values.mean()), None
    if len(values) == 1:
        low, high = mean_interval(values[0], settings, seed)
    else:
        half = _half_width(values, settings.confidence)
        low, high, deviation = mean - half, mean + half, _seed_deviation(values)
    return Aggregate(mean, low, high, deviation, *values.shape)


def paired_differences(
    first: Values, second: Values, settings: ReportSettings, seed: int
) -> tuple[SeedDifference, ...]:
    """Compare two checkpoints query by query, in several metrics: values of the shape (metrics, queries).

    The p-value is that of the paired randomisation test (each query's two values are exchanged at random; Smucker
    et al., CIKM 2007), the interval that of the percentile bootstrap over queries (Sakai, SIGIR 2006).

    Raises:
        DecantError: the shapes differ.
    """
    differences = _differences(first, second)
    p_values = randomisation_p_values(differences, settings, seed)
    return tuple(_tested(of[None], p, settings, seed) for of, p in zip(differences, p_values, strict=True))


def paired_difference(first: Values, second: Values, settings: ReportSettings, seed: int) -> SeedDifference:
    """`paired_differences` in one metric, of values of the shape (queries,)."""
    return paired_differences(first[None], second[None], settings, seed)[0]


def seed_difference(first: Values, second: Values, settings: ReportSettings, seed: int) -> SeedDifference:
    """Compare two models seed by seed and query by query.

    The interval is `aggregate`'s, of the method under other seeds and queries. The p-value holds for these seeds: it
    asks whether other queries could have turned the difference of their means; at least 2 / (resamples + 1).

    Args:
        first: metric of each query, shape (seeds, queries).
        second: the other model's, of the same shape, its seeds and queries in the same order.
        settings: of test and interval.
        seed: of both.

    Raises:
        DecantError: the shapes differ.
    """
    difference = _differences(first, second)
    [p_value] = randomisation_p_values(difference.mean(axis=0)[None], settings, seed)
    return _tested(difference, p_value, settings, seed)


def _differences(first: Values, second: Values) -> Values:
    if first.shape != second.shape:
        raise DecantError(
            f"the models' values have the shapes {first.shape} and {second.shape}",
            "give as many seeds of the one model as of the other, on the same queries",
        )
    return first - second


def _tested(difference: Values, p_value: float, settings: ReportSettings, seed: int) -> SeedDifference:
    return SeedDifference(**vars(aggregate(difference, settings, seed)), p_value=p_value)


def ratio(values: Values, reference: Values, settings: ReportSettings, seed: int) -> Aggregate:
    """How many times another model's mean a model's mean over its seeds is.

    The interval is `aggregate`'s of what is left of the values when the ratio times the reference is taken from them,
    paired by query: the linearised ratio (delta method; Cochran, Sampling Techniques, 1977, section 6.3).

    Args:
        values: metric of each query, shape (seeds, queries).
        reference: the other model's, of which there is one alone, shape (queries,), in the same order; not all 0.
        settings: as for `aggregate`; so is `seed`.

    Raises:
        DecantError: there is no value.
    """
    unit = float(reference.mean())
    times = float(values.mean()) / unit
    rest = aggregate(values - times * reference, settings, seed)
    deviation = _seed_deviation(values) / unit if len(values) > 1 else None
    return Aggregate(times, times + rest.low / unit, times + rest.high / unit, deviation, rest.seeds, rest.queries)


def _seed_deviation(values: Values) -> float:
    return float(values.mean(axis=1).std(ddof=1))


def _half_width(values: Values, confidence: float) -> float:
    """Half the interval of the mean of a crossed design, shape (seeds, queries), by Satterthwaite's approximation."""
    seeds, queries = values.shape
    if queries == 1:  # one query has no variance, nor has the rest
        return float(t.ppf(0.5 + confidence / 2, seeds - 1) * values.std(ddof=1) / np.sqrt(seeds))
    mean, of_seed, of_query = values.mean(), values.mean(axis=1), values.mean(axis=0)
    rest = values - of_seed[:, None] - of_query + mean
    by_seed = queries * ((of_seed - mean) ** 2).sum() / (seeds - 1)  # mean squares
    by_query = seeds * ((of_query - mean) ** 2).sum() / (queries - 1)
    residual = (rest**2).sum() / ((seeds - 1) * (queries - 1))
    if by_query > residual:
        squares = by_seed + by_query - residual
        parts = by_seed**2 / (seeds - 1) + by_query**2 / (queries - 1) + residual**2 / ((seeds - 1) * (queries - 1))
        freedom = max(squares**2 / parts, min(seeds, queries) - 1.0)  # the difference of mean squares may be near 0
    else:  # queries vary no more than the rest
        squares, freedom = by_seed, seeds - 1.0
    scale, level = np.sqrt(1 / (seeds * queries)), 0.5 + confidence / 2
    over_queries = t.ppf(level, queries - 1) * np.sqrt(by_query) * scale
    return float(max(t.ppf(level, freedom) * np.sqrt(squares) * scale, over_queries))
