"""The page's figures of single queries: what changed, how teacher and student agree, and where scores lie."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from decant.report.charts import AFTER, BEFORE, LOST, TEACHER, svg
from decant.report.figures import correlation
from decant.report.ranked import RankedSet
from decant.report.statistics import Values

IN_PIXELS = "#1f9d74"  # seen on a light page and on a dark one
BINS = 40
STEPS = 300  # of the sorted changes, so that the page stays small
COLUMNS = 4


def changes_chart(sets: Sequence[RankedSet]) -> str:
    """The change of each query's average precision, sorted, a panel a test set."""
    figure, panels = _panels(sets, 1.9)
    for axes, of in zip(panels, sets, strict=True):
        edges = np.linspace(0, len(of.change), min(STEPS, len(of.change)) + 1)
        changes = np.sort(of.change)[::-1][((edges[:-1] + edges[1:]) / 2).astype(int)]  # of each step's middle query
        for values, colour in ((np.maximum(changes, 0), AFTER), (np.minimum(changes, 0), LOST)):
            axes.stairs(values, edges, color=colour, fill=True)
        axes.axhline(0, color=BEFORE, lw=0.8)
        axes.set(ylim=(-1, 1))
    figure.supxlabel("queries, the most gained first", fontsize=9)
    panels[0].set_ylabel("change of AP")
    return svg(figure, "The change of each test query's average precision, sorted")


def agreement_chart(sets: Sequence[RankedSet], correlations: Sequence[float | None]) -> str:
    """The student's score of each pair against the teacher's, a panel a test set with its rank correlation."""
    figure, panels = _panels(sets, 2.3)
    for axes, of, rho in zip(panels, sets, correlations, strict=True):
        teacher, student = (np.concatenate(of.scores[model]) for model in ("teacher", "after"))
        axes.scatter(teacher, student, s=3, alpha=0.35, color=IN_PIXELS, lw=0, rasterized=True)
        axes.set_xlabel("teacher's score", fontsize=8)
        axes.text(0.03, 0.97, f"ρ {correlation(rho)}", transform=axes.transAxes, va="top")
    panels[0].set_ylabel("student's score")
    return svg(figure, "The student's score of each pair against the teacher's; the note has the rank correlations")


def scores_chart(sets: Sequence[RankedSet]) -> str:
    """How the student's scores of positives and of negatives are spread, a panel a test set."""
    figure, panels = _panels(sets, 1.9)
    for axes, of in zip(panels, sets, strict=True):
        scores = np.concatenate(of.scores["after"])
        counts = zip(of.positives, of.candidates, strict=True)
        positive = np.concatenate([np.arange(len(texts)) < count for count, texts in counts])
        edges = np.histogram_bin_edges(scores, BINS)
        for name, chosen, colour in (("negatives", ~positive, BEFORE), ("positives", positive, AFTER)):
            _spread(axes, scores[chosen], edges, name, colour)
        axes.set_xlabel("student's score", fontsize=8)
        axes.set_yticks([])
    panels[0].set_ylabel("share of each")
    panels[0].legend(frameon=False)
    return svg(figure, "How the student's scores of positives and of negatives are spread")


def _spread(axes: Axes, scores: Values, edges: Values, label: str, colour: str) -> None:
    counts, _ = np.histogram(scores, edges)
    axes.stairs(counts / max(1, counts.sum()), edges, color=colour, fill=True, alpha=0.5, label=label)


def _panels(sets: Sequence[RankedSet], height: float) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each set, four in a row at most."""
    columns = min(COLUMNS, len(sets))
    rows = -(-len(sets) // columns)
    figure = Figure(figsize=(7.6, (height + 0.2) * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[len(sets) :]:
        axes.set_visible(False)
    for axes, of in zip(grid, sets, strict=False):
        axes.set_title(f"{of.track}\n{of.dataset}\n{of.domain}", fontsize=7, color=TEACHER)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, grid[: len(sets)]
