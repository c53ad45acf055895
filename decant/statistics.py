"""Paired statistics over queries, by SciPy's own routines, seeded."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap, permutation_test

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference of two models over the same queries.

    Args:
        mean: of (one − other).
        low: lower end of the confidence interval.
        high: upper end.
        p_value: of the two-sided paired randomisation test that the two models are exchangeable.
    """

    mean: float
    low: float
    high: float
    p_value: float


def paired_difference(one: Values, other: Values, *, resamples: int, confidence: float, seed: int) -> PairedDifference:
    """Compare two models query by query.

    The p-value is that of the paired randomisation test (each query's two values are exchanged at random; Smucker
    et al., CIKM 2007), the interval that of the percentile bootstrap over queries (Sakai, SIGIR 2006).

    Args:
        one: metric of each query, shape (queries,).
        other: the other model's, shape (queries,).
        resamples: of both the test and the bootstrap; the smallest p-value is 2 / (resamples + 1).
        confidence: of the interval, such as 0.95.
        seed: of both.
    """
    difference = one - other
    if len(difference) < 2 or not difference.any():  # one query proves nothing, and SciPy refuses it
        mean = float(difference.mean())
        return PairedDifference(mean, mean, mean, 1.0)
    # Exchanging a query's two values flips the sign of its difference: SciPy does so for a single paired sample.
    test = permutation_test(
        (difference,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=1000,
        rng=np.random.default_rng(seed),
    )
    interval = bootstrap(
        (difference,),
        np.mean,
        vectorized=True,
        method="percentile",
        confidence_level=confidence,
        n_resamples=resamples,
        batch=1000,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return PairedDifference(float(difference.mean()), float(interval.low), float(interval.high), float(test.pvalue))
