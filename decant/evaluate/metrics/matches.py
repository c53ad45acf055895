"""Is there a match at all: what a threshold on the best candidate's score gets right."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Best(NamedTuple):
    """The best candidate of one query: its score, and whether it is a positive."""

    score: float
    positive: bool


def best_candidates(labels: Sequence[Sequence[int]], scores: Sequence[Any]) -> tuple[list[Best], list[Best]]:
    """The best candidate of each query; then of each query that has negatives, its positives taken away.

    The second list is of queries that nothing answers. A positive that ties with a negative is not the best.

    Args:
        labels: of each query's candidates, 1 or 0, at least one 1.
        scores: likewise.
    """
    whole, without = list[Best](), list[Best]()
    for marks, values in zip(map(np.asarray, labels), map(np.asarray, scores), strict=True):
        positive, negative = values[marks == 1].max(), values[marks == 0]
        if len(negative):
            without.append(Best(float(negative.max()), False))
        right = not len(negative) or bool(positive > negative.max())
        whole.append(Best(float(positive if right else negative.max()), right))
    return whole, without


def measure_matches(labels: Sequence[Sequence[int]], scores: Sequence[Any], threshold: float) -> dict[str, float]:
    """What comes out where the best candidate is shown if its score reaches a threshold, and nothing else.

    Returns:
        `match_precision`, the share of positives among what is shown, over all queries and those without their
        positives (1 where nothing is shown); `match_recall`, the share of queries with a positive for which one is
        shown; `shown_without_match`, the share of queries without their positives for which anything is shown.
    """
    whole, without = best_candidates(labels, scores)
    shown = [best.positive for best in whole if best.score >= threshold]
    wrong = sum(best.score >= threshold for best in without)
    return {
        "match_precision": round(sum(shown) / max(1, len(shown) + wrong) if shown or wrong else 1.0, 6),
        "match_recall": round(sum(shown) / len(whole), 6),
        "shown_without_match": round(wrong / max(1, len(without)), 6),
    }
