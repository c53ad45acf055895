"""Refuse teacher scores that cannot be right, before they are paid for and before they are used."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from decant.dataset import Row
from decant.engines import Scores
from decant.errors import DecantError

# Real scores are spread. A larger share of the pairs at one value is a clamp, a sentinel or an overflow.
MOST_AT_ONE_VALUE = 0.25
TEMPLATE = "look at the prompt in the manifest, the special tokens, and the tokens yes and no"


def check_values(scores: Scores, where: str) -> None:
    """Make sure that scores of distinct pairs are finite and spread.

    Args:
        scores: raw, of distinct pairs, shape (pairs,).
        where: for the message.

    Raises:
        DecantError: some are NaN or infinite, all are equal, all are 0.5, or many sit at one value.
    """
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


def check_split(rows: Sequence[Row], scores: Scores, where: str) -> None:
    """Check a whole split's scores: their values, and that they do not prefer negatives to positives.

    Args:
        rows: of the split.
        scores: one a pair, in the order of the rows and their candidates.
        where: for the message.

    Raises:
        DecantError: the scores cannot be right; the message says which check failed.
    """
    first = {(row.query, text): 0 for row in rows for text in row.candidates}
    pairs = ((row.query, text) for row in rows for text in row.candidates)
    distinct = [index for index, pair in enumerate(pairs) if not first[pair] and not first.update({pair: 1})]
    check_values(scores[distinct], where)
    parts = np.split(scores, np.cumsum([len(row.candidates) for row in rows])[:-1])
    right = [share for row, part in zip(rows, parts, strict=True) if (share := _order(row, part)) is not None]
    if right and np.mean(right) < 0.5:
        raise DecantError(
            f"{where}: the scores look sign-flipped: on average a positive beats only {np.mean(right):.1%} of its "
            "query's negatives, less than chance",
            f"look whether yes and no are exchanged, the labels of the set, and the prompt: {TEMPLATE}",
        )


def _order(row: Row, scores: npt.NDArray[np.float32]) -> float | None:
    """The share of (positive, negative) in the right order, ties counting half; None without labels of both kinds."""
    if not row.positive or not row.negative:
        return None
    count = len(row.positive)
    difference = scores[:count, None] - scores[None, count : count + len(row.negative)]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())
