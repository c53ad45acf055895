"""Refuse teacher scores that cannot be right, before they are paid for and before they are used."""

import numpy as np
import numpy.typing as npt

from decant.errors import DecantError
from decant.models.scorer import Scores

# Real scores are spread. A larger share of the pairs at one value is a clamp, a sentinel or an overflow.
MOST_AT_ONE_VALUE = 0.25
TEMPLATE = "look at the prompt in the manifest, the special tokens, and the tokens yes and no"


def check_values(scores: Scores, where: str) -> None:
    """Raise a DecantError, which names `where`, unless the raw scores of distinct pairs are finite and spread."""
    for fault, found in (("NaN", np.isnan(scores)), ("infinite", np.isinf(scores))):
        if found.any():
            raise DecantError(
                f"{where}: {int(found.sum())} of {len(scores)} scores are {fault}, the first that of pair "
                f"{int(found.argmax())}",
                "look at teacher.dtype: float16 overflows where bfloat16 and float32 do not",
            )
    if len(scores) > 1 and np.abs(scores - 0.5).max() < 1e-3:
        raise DecantError(
            f"{where}: all {len(scores)} scores are 0.5: the model sees no difference between yes and no",
            f"the teacher was loaded with an untrained head, or its answer is read at the wrong place: {TEMPLATE}",
        )
    if len(scores) > 1 and np.ptp(scores) == 0:
        raise DecantError(
            f"{where}: the scores are constant: all {len(scores)} are {scores[0]:.6g}",
            f"the texts do not reach the model: {TEMPLATE}, and teacher.max_length",
        )
    values, counts = np.unique(scores, return_counts=True)
    most = int(counts.max(initial=0))
    if most > 2 and most > MOST_AT_ONE_VALUE * len(scores):
        raise DecantError(
            f"{where}: the scores are saturated: {most} of {len(scores)} are {values[counts.argmax()]:.6g}, "
            f"and at most {MOST_AT_ONE_VALUE:.0%} may share a value",
            "look for a sigmoid or a clamp in the engine or server, for documents that are cut to nothing "
            "(teacher.max_length), and for a dtype that is too coarse",
        )


class Order:
    """Whether positives score above negatives: the share of (positive, negative) in the right order, by row.

    Ties count half; rows without labels of both kinds do not count.
    """

    def __init__(self) -> None:
        self.sum, self.rows = 0.0, 0

    def add(self, rows: npt.NDArray[np.int32], labels: npt.NDArray[np.int8], scores: Scores) -> None:
        """Count the pairs of some whole rows: rows' numbers, labels (−1 for none) and scores, shape (pairs,) each."""
        labelled = labels >= 0
        shares = _right_order(rows[labelled], labels[labelled] > 0, scores[labelled])
        self.sum += float(shares.sum())
        self.rows += len(shares)

    def check(self, where: str) -> None:
        """Raise a DecantError, which names `where`, if a positive beats on average less than half of its negatives."""
        if self.rows and self.sum / self.rows < 0.5:
            raise DecantError(
                f"{where}: the scores look sign-flipped: on average a positive beats only {self.sum / self.rows:.1%} "
                "of its query's negatives, less than chance",
                f"look whether yes and no are exchanged, the labels of the set, and the prompt: {TEMPLATE}",
            )


def _right_order(
    rows: npt.NDArray[np.int32], positive: npt.NDArray[np.bool_], scores: Scores
) -> npt.NDArray[np.float64]:
    """Of each row with both kinds the share of (positive, negative) in the right order, ties counting half."""
    order = np.lexsort((scores, rows))
    row, score = rows[order], scores[order]
    begins = np.diff(row, prepend=-1) != 0
    first, number = np.flatnonzero(begins), np.cumsum(begins) - 1  # of each row, of each pair
    tie = np.cumsum(begins | (np.diff(score, prepend=np.nan) != 0)) - 1
    ends = np.cumsum(np.bincount(tie)) if len(tie) else np.empty(0, dtype=np.int64)
    # A pair's rank in its row is the mean rank of those that tie with it; positives' ranks add up to Mann-Whitney's U.
    rank = (ends + np.concatenate([[0], ends[:-1]]) + 1)[tie] / 2 - first[number]
    wins = np.bincount(number, weights=rank * positive[order], minlength=len(first))
    positives = np.bincount(number, weights=positive[order], minlength=len(first))
    negatives = np.bincount(number, minlength=len(first)) - positives
    both = (positives > 0) & (negatives > 0)
    shares: npt.NDArray[np.float64] = (wins - positives * (positives + 1) / 2)[both] / (positives * negatives)[both]
    return shares
