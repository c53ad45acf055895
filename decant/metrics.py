"""MAP, MRR@10 and nDCG@10 of one query's ranking, as sentence-transformers' reranking evaluators count them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, ndcg_score

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

        return [int(index) for index in torch.argsort(-torch.from_numpy(np.array(scores, dtype=np.float32)))]
    return [int(index) for index in np.argsort(scores)[::-1]]


def query_metrics(labels: Sequence[int], scores: npt.NDArray[np.float32], kind: str) -> QueryMetrics:
    """Metrics of one query.

    Average precision and nDCG treat ties by their expectation (scikit-learn's), the reciprocal rank by `rank`.

    Args:
        labels: 1 for a positive, 0 for a negative, positives first, shape (candidates,).
        scores: shape (candidates,).
        kind: of the model that scored; decides the order of ties.
    """
    hits = [place for place, index in enumerate(rank(scores, kind)[:AT_K], start=1) if labels[index]]
    return QueryMetrics(
        float(average_precision_score(labels, scores)),
        1 / hits[0] if hits else 0.0,
        float(ndcg_score([labels], [scores], k=AT_K)),
    )
