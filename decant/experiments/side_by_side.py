"""Two checkpoints side by side, query by query, as one HTML page."""

from collections.abc import Sequence

import numpy as np

from decant.errors import DecantError
from decant.evaluate.run import DOMAINS
from decant.experiments.comparing import Comparison
from decant.experiments.revisions import Revision, TestRun
from decant.report.page import render_comparison
from decant.report.ranked import RANKING, RankedSet


def side_by_side(first: str, second: str, tracks: Sequence[str], model: str, comparison: Comparison) -> str:
    """The page: the comparison's table, and the explorer of the queries of both checkpoints and the second's teacher.

    Args:
        first: a revision, of one seed.
        second: likewise.
        tracks: to show.
        model: one of `decant.report.comparison.NAMES`.
        comparison: of these two; it has made sure that they have the same test splits.

    Raises:
        DecantError: a side is several seeds, or a test split is neither in the cache nor on the remote.
    """
    if "," in first + second:
        raise DecantError(
            f"{first} and {second} are several seeds, and a page shows one checkpoint a side",
            "name one revision a side, or leave --html out",
        )
    sides = Revision(first), Revision(second)
    ranked: list[RankedSet] = []
    for track in tracks:
        runs = [sides[0].runs(track, model), sides[1].runs(track, model), sides[1].runs(track, "teacher")]
        ranked += [
            _ranked(track, domain, [of_model[domain] for of_model in runs], sides[1])
            for domain in DOMAINS
            if all(domain in of_model for of_model in runs)
        ]
    return render_comparison(comparison.title, comparison.headers, comparison.rows, comparison.notes, ranked)


def _ranked(track: str, domain: str, runs: Sequence[TestRun], revision: Revision) -> RankedSet:
    rows = revision.test_rows(runs[1].dataset)
    return RankedSet(
        track,
        domain.replace("_", "-"),
        runs[1].dataset,
        runs[1].queries,
        [[*row["positive"], *row["negative"]] for row in rows],
        runs[1].labels,
        {name: [np.array(scores) for scores in run.scores] for name, run in zip(RANKING, runs, strict=True)},
        {name: run.metrics["map"] for name, run in zip(RANKING, runs, strict=True)},
    )
