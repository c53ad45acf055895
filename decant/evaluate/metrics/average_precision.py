"""Average precision."""

import numpy as np
import numpy.typing as npt


def measure(labels: npt.NDArray[np.float64], scores: npt.NDArray[np.float32], kind: str) -> float:
    """Average precision, a group of tied scores counted as one threshold, as scikit-learn counts it.

    scikit-learn's own function gives the same value and spends a millisecond a query on checking its input.
    """
    del kind
    order = np.argsort(-scores, kind="stable")
    last_of_group = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(labels[order])[last_of_group]
    precision = hits / (last_of_group + 1)
    return float(precision @ np.diff(hits, prepend=0.0) / labels.sum())
