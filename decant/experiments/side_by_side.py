"""Two checkpoints side by side, query by query, as one HTML page."""

from collections.abc import Sequence

import numpy as np

from decant.errors import DecantError
from decant.experiments.comparing import Comparison
from decant.experiments.revisions import Revision, TestRun
from decant.report.page import render_comparison
from decant.report.ranked import RANKING, Ranking, ranked_set


def side_by_side(first: str, second: str, tracks: Sequence[str], model: str, comparison: Comparison) -> str:
    """The page: the comparison's table, and the explorer of the queries of both checkpoints and the second's teacher.

    Args:
        first: a revision, of one seed; see `check_seeds`.
        second: likewise.
        tracks: to show.
        model: one of `decant.report.comparison.NAMES`.
        comparison: of these two; it has made sure that they have the same test splits.

    Raises:
        DecantError: a test split, or the teacher's run, is neither in the cache nor on the remote, or a run is not of
            the second revision's test split.
    """
    sides = Revision(first), Revision(second)
    ranked = []
    for track in tracks:
        runs = [sides[0].runs(track, model), sides[1].runs(track, model), sides[1].runs(track, "teacher")]
        for domain, of_second in runs[1].items():
            if all(domain in of_model for of_model in runs):  # else the comparison says that it is left out
                rows = sides[1].test_rows(of_second.dataset)
                rankings = {name: _ranking(of_model[domain]) for name, of_model in zip(RANKING, runs, strict=True)}
                ranked.append(ranked_set(track, domain, of_second.dataset, rows, rankings))
    return render_comparison(comparison.title, comparison.headers, comparison.rows, comparison.notes, ranked)


def check_seeds(first: str, second: str) -> None:
    """Raise a DecantError where a side is several seeds, whose rankings no page shows."""
    if "," in first + second:
        raise DecantError(
            f"{first} and {second} are several seeds, and a page shows one checkpoint a side",
            "name one revision a side, or leave --html out",
        )


def _ranking(run: TestRun) -> Ranking:
    return Ranking(run.queries, [np.array(scores) for scores in run.scores], run.metrics["map"])
