"""The reciprocal rank at 10."""

from math import comb

import numpy as np
import numpy.typing as npt

AT_K = 10


def measure(labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float32], kind: str) -> float:
    """1 / the place of the first positive, or 0 where it is not among the first ten.

    Tied scores are ordered as the library's evaluators order them, so that the means are theirs. BM25 gives many equal
    scores (candidates without a word of the query): its reciprocal rank is averaged over all their orders, as nDCG is
    for every model.
    """
    if kind == "bm25":
        return expected(labels, scores)
    ranks = np.flatnonzero(labels[_order(scores, kind)[:AT_K]]) + 1
    return float(1 / ranks[0]) if len(ranks) else 0.0


def _order(scores: npt.NDArray[np.float32], kind: str) -> npt.NDArray[np.int64]:
    """Candidate indices, best first, by the sorting routine of the library's evaluator.

    `torch.argsort` for a bi-encoder (`RerankingEvaluator`), a reversed `numpy.argsort` for every model that reads the
    pair (`CrossEncoderRerankingEvaluator`).
    """
    if kind == "bi_encoder":
        import torch

        return torch.argsort(-torch.from_numpy(np.array(scores, dtype=np.float32))).numpy()
    return np.argsort(scores)[::-1]


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
