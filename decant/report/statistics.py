"""Paired statistics over queries, by SciPy's own routines, seeded, and Holm's correction for many of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap, permutation_test

from decant.report.settings import ReportSettings

Values = npt.NDArray[np.float64]


def randomisation_p_values(differences: Values, settings: ReportSettings, seed: int) -> list[float]:
    """The two-sided p-values of paired randomisation tests that mean differences are 0.

    Args:
        differences: of each test and query, shape (tests, queries). All tests exchange the same queries' values, as
            they would alone with this seed.
        settings: the resamples.
        seed: of the resamples.
    """
    if differences.shape[1] < 2:  # one query proves nothing, and SciPy refuses it
        return [1.0] * len(differences)
    # Exchanging a query's two values flips the sign of its difference: SciPy does so for a single paired sample.
    options = _resampling(settings, seed)
    tested = permutation_test((differences,), np.mean, permutation_type="samples", axis=1, **options)
    return tested.pvalue.tolist()  # type: ignore[no-any-return]


def mean_interval(values: Values, settings: ReportSettings, seed: int) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean over queries, values of the shape (queries,)."""
    if len(values) < 2 or not values.any():
        return float(values.mean()), float(values.mean())
    options = _resampling(settings, seed)
    result = bootstrap((values,), np.mean, method="percentile", confidence_level=settings.confidence, **options)
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _resampling(settings: ReportSettings, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"vectorized": True, "n_resamples": settings.resamples, "batch": 1000, "rng": rng}


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of even one false finding among them is bounded (Holm, 1979).

    The k-th smallest of n is multiplied by n − k + 1, and none is below one that was smaller.
    https://www.jstor.org/stable/4615733

    Args:
        p_values: of all tests that are shown together, however they depend on each other.

    Returns:
        the adjusted p-values, at most 1, in the order given.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted.tolist()  # type: ignore[no-any-return]
