"""The reciprocal rank at 10."""

from math import comb

import numpy as np
import numpy.typing as npt

from decant.evaluate.metrics.ranking import rank

AT_K = 10


def measure(labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float32], kind: str) -> float:
    """1 / the place of the first positive, or 0 where it is not among the first ten.

    `rank` orders tied scores. BM25 gives many equal scores (candidates without a word of the query): its reciprocal
    rank is averaged over all their orders, as the other metrics are for every model.
    """
    if kind == "bm25":
        return expected(labels, scores)
    hits = [place for place, index in enumerate(rank(scores, kind)[:AT_K], start=1) if labels[index]]
    return 1 / hits[0] if hits else 0.0


def expected(labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float32]) -> float:
    """The reciprocal rank at 10, averaged over all orders of tied scores."""
    marks = labels.astype(bool)
    best = scores[marks].max()
    above, tied = int((scores > best).sum()), int((scores == best).sum())
    positives = int((marks & (scores == best)).sum())
    # The first positive is the j-th of the tied ones in comb(tied - j, positives - 1) of comb(tied, positives) cases.
    total = sum(
        comb(tied - j, positives - 1) / (above + j) for j in range(1, tied - positives + 2) if above + j <= AT_K
    )
    return total / comb(tied, positives)
