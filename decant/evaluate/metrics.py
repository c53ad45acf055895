"""MAP, MRR@10 and nDCG@10 of one query's ranking, as sentence-transformers' reranking evaluators count them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

AT_K = 10
METRICS = ("map", "mrr@10", "ndcg@10")


@dataclass(frozen=True)
class QueryMetrics:
    """Average precision, reciprocal rank at 10 and nDCG at 10 of one query."""

    map: float
    mrr: float
    ndcg: float

    def as_tuple(self) -> tuple[float, float, float]:
        """In the order of `METRICS`."""
        return self.map, self.mrr, self.ndcg


def rank(scores: npt.NDArray[np.float32], kind: str) -> list[int]:
    """Candidate indices, best first.

    Tied scores are ordered as the library's evaluators order them, so that the means are theirs:
    `torch.argsort` for a bi-encoder (`RerankingEvaluator`), a reversed `numpy.argsort` for every model that reads the
    pair (`CrossEncoderRerankingEvaluator`).
    """
    if kind == "bi_encoder":
        import torch

        order: Any = torch.argsort(-torch.from_numpy(np.array(scores, dtype=np.float32)))
    else:
        order = np.argsort(scores)[::-1]
    ranking: list[int] = order.tolist()
    return ranking


def average_precision(labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float32]) -> float:
    """Average precision, a group of tied scores counted as one threshold, as scikit-learn counts it.

    scikit-learn's own function gives the same value and spends a millisecond a query on checking its input.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_group = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(labels[order])[last_of_group]
    precision = hits / (last_of_group + 1)
    return float(precision @ np.diff(hits, prepend=0.0) / labels.sum())


def ndcg(labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float32]) -> float:
    """nDCG at 10 with binary gains, averaged over the orders of tied scores, as scikit-learn counts it."""
    discount = 1 / np.log2(np.arange(len(scores)) + 2)
    discount[AT_K:] = 0
    _, group, size = np.unique(-scores, return_inverse=True, return_counts=True)
    mean_gain = np.bincount(group, weights=labels) / size
    gain_by_place = np.repeat(mean_gain, size)
    ideal = np.sort(labels)[::-1]
    return float(gain_by_place @ discount / (ideal @ discount))


def query_metrics(labels: Sequence[int], scores: npt.NDArray[np.float32], kind: str) -> QueryMetrics:
    """Metrics of one query.

    Average precision and nDCG treat ties by their expectation, the reciprocal rank by `rank`.

    Args:
        labels: 1 for a positive, 0 for a negative, at least one of them positive, shape (candidates,).
        scores: shape (candidates,).
        kind: of the model that scored; decides the order of ties.
    """
    hits = [place for place, index in enumerate(rank(scores, kind)[:AT_K], start=1) if labels[index]]
    marks = np.asarray(labels, dtype=np.float64)
    return QueryMetrics(average_precision(marks, scores), 1 / hits[0] if hits else 0.0, ndcg(marks, scores))
