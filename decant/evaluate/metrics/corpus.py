"""The measures of a ranking of a corpus, by name."""

from collections.abc import Callable, Mapping, Sequence, Set

import numpy as np

Measure = Callable[[Sequence[int], Mapping[int, int], Set[int]], float]


def _ndcg(at: int) -> Measure:
    def measure(ranked: Sequence[int], gains: Mapping[int, int], relevant: Set[int]) -> float:
        del relevant
        discounts = 1 / np.log2(np.arange(at) + 2)
        ideal = sorted(gains.values(), reverse=True)[:at]
        found = [gains.get(document, 0) for document in ranked[:at]]
        return float(np.dot(found, discounts[: len(found)]) / np.dot(ideal, discounts[: len(ideal)]))

    return measure


def _reciprocal_rank(at: int) -> Measure:
    def measure(ranked: Sequence[int], gains: Mapping[int, int], relevant: Set[int]) -> float:
        del gains
        return next((1 / rank for rank, document in enumerate(ranked[:at], start=1) if document in relevant), 0.0)

    return measure


def _recall(at: int) -> Measure:
    def measure(ranked: Sequence[int], gains: Mapping[int, int], relevant: Set[int]) -> float:
        del gains
        return len(relevant & set(ranked[:at])) / len(relevant)

    return measure


def _average_precision(at: int) -> Measure:
    def measure(ranked: Sequence[int], gains: Mapping[int, int], relevant: Set[int]) -> float:
        del gains
        places = [rank for rank, document in enumerate(ranked[:at], start=1) if document in relevant]
        return sum(number / rank for number, rank in enumerate(places, start=1)) / len(relevant)

    return measure


# Each takes a query's ranking, the gains of documents that have any, and those that are relevant, at least one. They
# are trec_eval's ndcg_cut, recip_rank (cut at 10), recall and map_cut, and those of sentence-transformers'
# `InformationRetrievalEvaluator`, whose MAP divides by the cut where more are relevant.
MEASURES: dict[str, tuple[str, Measure]] = {
    "ndcg@10": ("nDCG@10", _ndcg(10)),
    "mrr@10": ("MRR@10", _reciprocal_rank(10)),
    "recall@10": ("Recall@10", _recall(10)),
    "recall@100": ("Recall@100", _recall(100)),
    "map@100": ("MAP@100", _average_precision(100)),
}
DEEPEST = 100  # rank that a measure looks at


def query_measures(ranked: Sequence[int], gains: Mapping[int, int], relevant: Set[int]) -> dict[str, float]:
    """Every measure of one query's ranking."""
    return {name: measure(ranked, gains, relevant) for name, (_, measure) in MEASURES.items()}
