"""The metrics of a ranking, by name. A new one is one module here and one line in `METRICS`.

A metric's module has a function `measure(labels, scores, kind)`, which gives one query's value:

- `labels`: 1.0 for a positive, 0.0 for a negative, at least one of them positive, shape (candidates,). A metric whose
  entry says `graded=True` gets the gains in their place: 0.0 or more, and the labels where a set has no grades;
- `scores`: shape (candidates,);
- `kind`: of the model that scored, for metrics that need an order of tied scores; see `reciprocal_rank`.
"""

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Metric(NamedTuple):
    """Where a metric is defined, what tables call it, and whether it measures graded relevance."""

    module: str
    label: str
    graded: bool = False


METRICS = {
    "map": Metric("decant.evaluate.metrics.average_precision", "MAP"),
    "mrr@10": Metric("decant.evaluate.metrics.reciprocal_rank", "MRR@10"),
    "ndcg@10": Metric("decant.evaluate.metrics.ndcg", "nDCG@10", graded=True),
}


def query_metrics(
    labels: "npt.NDArray[np.float64]",
    scores: "npt.NDArray[np.float32]",
    kind: str,
    gains: "npt.NDArray[np.float64] | None" = None,
) -> dict[str, float]:
    """Every metric of one query, as sentence-transformers' reranking evaluators count them.

    Args:
        labels: 1.0 for a positive, 0.0 for a negative, shape (candidates,).
        scores: shape (candidates,).
        kind: of the model that scored.
        gains: of the candidates, for graded metrics, shape (candidates,); the labels where there are no grades.
    """
    gains = labels if gains is None else gains
    modules = {name: importlib.import_module(metric.module) for name, metric in METRICS.items()}
    return {
        name: module.measure(gains if METRICS[name].graded else labels, scores, kind)
        for name, module in modules.items()
    }
