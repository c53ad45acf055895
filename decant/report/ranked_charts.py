"""The page's figures of single queries: what changed, how teacher and student agree, and where scores lie."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from decant.report.charts import AFTER, BEFORE, TEACHER, svg
from decant.report.ranked import RankedSet, agreement
from decant.report.statistics import Values

LOST = "#b42318"
BINS = 40


def changes_chart(sets: Sequence[RankedSet]) -> str:
    """The change of each query's average precision, sorted, a panel a test set."""
    figure, panels = _panels(sets, 1.9)
    for axes, of in zip(panels, sets, strict=True):
        changes = np.sort(of.change)[::-1]
        places = np.arange(len(changes))
        axes.fill_between(places, changes, where=changes > 0, color=AFTER, step="mid", lw=0)
        axes.fill_between(places, changes, where=changes < 0, color=LOST, step="mid", lw=0)
        axes.axhline(0, color=BEFORE, lw=0.8)
        axes.set(ylim=(-1, 1))
    figure.supxlabel("queries, the most gained first", fontsize=9)
    panels[0].set_ylabel("change of AP")
    return svg(figure)


def agreement_chart(sets: Sequence[RankedSet]) -> str:
    """The student's score of each pair against the teacher's, a panel a test set."""
    figure, panels = _panels(sets, 2.3)
    for axes, of in zip(panels, sets, strict=True):
        teacher, student = (np.concatenate(of.scores[model]) for model in ("teacher", "after"))
        axes.scatter(teacher, student, s=3, alpha=0.25, color=AFTER, lw=0, rasterized=True)
        axes.set_xlabel("teacher's score", fontsize=8)
        correlation = agreement(of, "after")
        if correlation is not None:
            axes.text(0.03, 0.97, f"ρ {correlation:.2f}", transform=axes.transAxes, va="top")
    panels[0].set_ylabel("student's score")
    return svg(figure)


def scores_chart(sets: Sequence[RankedSet]) -> str:
    """How the student's scores of positives and of negatives are spread, a panel a test set."""
    figure, panels = _panels(sets, 1.9)
    for axes, of in zip(panels, sets, strict=True):
        scores, labels = np.concatenate(of.scores["after"]), np.concatenate([np.array(row) for row in of.labels])
        edges = np.histogram_bin_edges(scores, BINS)
        for name, chosen, colour in (("negatives", labels == 0, BEFORE), ("positives", labels > 0, AFTER)):
            _spread(axes, scores[chosen], edges, name, colour)
        axes.set_xlabel("student's score", fontsize=8)
        axes.set_yticks([])
    panels[0].set_ylabel("share of each")
    panels[0].legend(frameon=False)
    return svg(figure)


def _spread(axes: Axes, scores: Values, edges: Values, label: str, colour: str) -> None:
    counts, _ = np.histogram(scores, edges)
    axes.stairs(counts / max(1, counts.sum()), edges, color=colour, fill=True, alpha=0.5, label=label)


def _panels(sets: Sequence[RankedSet], height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(7.6, height), layout="constrained")
    panels = list(figure.subplots(1, len(sets), squeeze=False)[0])
    for axes, of in zip(panels, sets, strict=True):
        axes.set_title(f"{of.track}\n{of.dataset}, {of.domain}", fontsize=8, color=TEACHER)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels
