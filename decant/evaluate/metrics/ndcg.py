"""nDCG at 10."""

import numpy as np
import numpy.typing as npt

AT_K = 10


def measure(gains: npt.NDArray[np.float64], scores: npt.NDArray[np.float32], kind: str) -> float:
    """nDCG at 10, averaged over the orders of tied scores, as scikit-learn counts it.

    A candidate's gain is its grade, as in the `ndcg_cut` of trec_eval and unlike 2^grade − 1 (Burges et al., 2005).
    """
    del kind
    discount = 1 / np.log2(np.arange(len(scores)) + 2)
    discount[AT_K:] = 0
    _, group, size = np.unique(-scores, return_inverse=True, return_counts=True)
    mean_gain = np.bincount(group, weights=gains) / size
    gain_by_place = np.repeat(mean_gain, size)
    ideal = np.sort(gains)[::-1]
    return float(gain_by_place @ discount / (ideal @ discount))
