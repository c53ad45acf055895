"""A threshold for "no good match", chosen on the dev split."""

import gc
from pathlib import Path
from typing import NamedTuple

import numpy as np

from decant.data.sets import read_split
from decant.evaluate.metrics.matches import Best, best_candidates, measure_matches
from decant.evaluate.run import Run, evaluate
from decant.models.threshold import Threshold, write_threshold
from decant.train.job import Job


class Kept(NamedTuple):
    """A threshold, and what it gets right on dev; see `decant.evaluate.metrics.matches.measure_matches`."""

    threshold: Threshold
    dev: dict[str, float]


def keep_threshold(job: Job, folder: Path) -> Kept | None:
    """Choose the threshold of the student in a folder on dev, and write it into the student's config.

    None is chosen where no score tells matches from others.
    """
    gc.collect()  # see `decant.train.guard`: models that are done with stay in memory until then
    model = job.models.load(folder, trust_remote_code=job.params.student.trust_remote_code)
    run = evaluate(job.models.make_scorer(model, job.batch_tokens), read_split(job.dev))
    threshold = choose(run)
    write_threshold(folder, threshold)
    return threshold and Kept(threshold, measure_matches(run.labels, run.scores, threshold.score))


def choose(run: Run) -> Threshold | None:
    """The threshold with the best F1 over the queries of a run and the same queries without their positives.

    Precision is over all that is shown, recall over the queries that have a positive. The probability of a match is
    Platt's: a logistic regression on the best candidates' scores, towards targets that are drawn in from 0 and 1
    (Platt, Probabilistic Outputs for Support Vector Machines, 1999). None where it does not rise with the score.
    """
    whole, without = best_candidates(run.labels, run.scores)
    matches = [*whole, *without]
    if len({best.positive for best in matches}) == 1 or (line := _logistic(matches)) is None:
        return None
    matches.sort(reverse=True)
    shown = np.arange(1, len(matches) + 1)
    right = np.cumsum([best.positive for best in matches])
    scores = np.array([best.score for best in matches])
    last = np.append(scores[1:] < scores[:-1], True)  # of equal scores, which are shown together
    best = int(np.argmax(np.where(last, 2 * right / (shown + len(whole)), -1.0)))
    below = scores[best + 1] if best + 1 < len(scores) else scores[best]
    return Threshold(float(scores[best] + below) / 2, *line)


def _logistic(matches: list[Best]) -> tuple[float, float] | None:
    """Slope and intercept, or None where the slope does not rise."""
    from sklearn.linear_model import LogisticRegression  # slow to import

    scores = np.array([best.score for best in matches], np.float64)
    positive = np.array([best.positive for best in matches])
    middle, scale = scores.mean(), scores.std() or 1.0
    high, low = (positive.sum() + 1) / (positive.sum() + 2), 1 / ((~positive).sum() + 2)
    targets = np.where(positive, high, low)
    regression = LogisticRegression(C=np.inf).fit(
        np.tile((scores - middle) / scale, 2)[:, None],
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    slope = float(regression.coef_[0, 0]) / scale
    if slope <= 0:
        return None
    return round(slope, 6), round(float(regression.intercept_[0]) - slope * middle, 6)
