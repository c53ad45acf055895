"""BM25 as a baseline."""

from collections.abc import Sequence
from dataclasses import replace
from math import comb

import numpy as np
import numpy.typing as npt

from decant.data.bm25 import BM25
from decant.data.sets import Row
from decant.evaluate.metrics import AT_K
from decant.evaluate.run import Run, run_from_scores


def bm25_run(rows: Sequence[Row]) -> Run:
    """Rank every query's own candidates by BM25, in a corpus of all candidates of the split.

    Equal scores are common (candidates without a word of the query), so they count by expectation in all three
    metrics: no order of the candidates helps or harms the baseline.

    Args:
        rows: a labelled split.
    """
    corpus = list(dict.fromkeys(text for row in rows for text in row.candidates))
    place = {text: number for number, text in enumerate(corpus)}
    index = BM25(corpus)
    scores = [index.scores(row.query)[[place[text] for text in row.candidates]] for row in rows]
    run = run_from_scores(rows, np.concatenate(scores), "bm25")
    metrics = [
        replace(metric, mrr=expected_reciprocal_rank(labels, part))
        for metric, labels, part in zip(run.metrics, run.labels, run.scores, strict=True)
    ]
    return replace(run, metrics=metrics)


def expected_reciprocal_rank(labels: Sequence[int], scores: npt.NDArray[np.float32]) -> float:
    """The reciprocal rank at 10, averaged over all orders of tied scores.

    Args:
        labels: 1 for a positive, 0 for a negative, shape (candidates,).
        scores: shape (candidates,).
    """
    marks = np.asarray(labels, dtype=bool)
    best = scores[marks].max()
    above, tied = int((scores > best).sum()), int((scores == best).sum())
    positives = int((marks & (scores == best)).sum())
    # The first positive is the j-th of the tied ones in comb(tied - j, positives - 1) of comb(tied, positives) cases.
    expected = sum(
        comb(tied - j, positives - 1) / (above + j) for j in range(1, tied - positives + 2) if above + j <= AT_K
    )
    return expected / comb(tied, positives)
