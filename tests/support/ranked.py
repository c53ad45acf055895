"""A test set as models ranked it, made by hand."""

from collections.abc import Sequence

import numpy as np

from decant.report.ranked import RANKING, RankedSet


def set_of(
    before: Sequence[Sequence[float]],
    after: Sequence[Sequence[float]],
    teacher: Sequence[Sequence[float]],
    text: str = "text",
) -> RankedSet:
    """Queries whose first candidate is the positive one; a model's scores of their candidates for each query."""
    models = dict(zip(RANKING, (before, after, teacher), strict=True))
    scores = {model: [np.array(row) for row in rows] for model, rows in models.items()}
    precision = {
        model: np.array([1.0 / (1 + (row[1:] > row[0]).sum()) for row in rows]) for model, rows in scores.items()
    }
    candidates = [[f"{text} {number}.{place}" for place in range(len(row))] for number, row in enumerate(after)]
    queries = [f"query {number}" for number in range(len(after))]
    return RankedSet("embedding", "in-domain", "own-set", queries, candidates, [1] * len(after), scores, precision)
