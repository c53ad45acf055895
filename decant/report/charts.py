"""The report's figures, as SVG that is the same for the same data."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from decant.report.comparison import NAMES, ComparedSet, compared_sets
from decant.report.corpora import system_words

matplotlib.rcParams.update(
    {"svg.hashsalt": "decant", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
)

AFTER, BEFORE, TEACHER, LOST = "#0b6e4f", "#7b8794", "#3d5a80", "#b42318"
LABELS_ONLY, BASELINE, BM25 = "#b45f06", "#8d5fd3", "#1f2933"
VARIABLES = {  # of the page's style sheet, which has lighter values for a dark page
    AFTER: "after",
    BEFORE: "before",
    TEACHER: "teacher",
    LOST: "lost",
    LABELS_ONLY: "labels",
    BASELINE: "baseline",
    BM25: "bm25",
}
TERMS = (AFTER, "--"), (LABELS_ONLY, ":"), (BASELINE, "-.")  # of a loss
MARKS = {  # colour and marker of each model
    "before": (BEFORE, "o"),
    "after": (AFTER, "o"),
    "teacher": (TEACHER, "D"),
    "labels_only": (LABELS_ONLY, "s"),
    "baseline": (BASELINE, "^"),
    "bm25": (BM25, "x"),
}


class Mark(NamedTuple):
    """A model or a search in a chart of quality against cost."""

    label: str
    colour: str
    marker: str
    costs: tuple[float | None, ...]
    quality: float


def change_chart(comparison: Mapping[str, Any]) -> str:
    """MAP of every model on every test set: before, after (with the interval of its change), teacher, baselines."""
    rows = compared_sets(comparison)
    figure = Figure(figsize=(7.6, 0.62 * len(rows) + 0.9), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        values = row.entry["map"]
        axes.plot([values["before"], values["after"]], [place, place], color=AFTER, lw=2, zorder=1)
        low, high = (values["before"] + values["change"][end] for end in ("low", "high"))
        axes.plot([low, high], [place, place], color=AFTER, lw=8, alpha=0.2, solid_capstyle="butt", zorder=1)
        for name, (colour, marker) in MARKS.items():
            if name in values:
                label = NAMES[name] if not any(name in other.entry["map"] for other in rows[:place]) else None
                axes.scatter(values[name], place, color=colour, marker=marker, s=42, zorder=2, label=label)
    axes.set_yticks(range(len(rows)), [f"{row.track}, {row.dataset}\n{row.domain}" for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("MAP; the band is the confidence interval of the change")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, 1.22), ncols=len(MARKS), frameon=False)
    return svg(figure, "MAP of every model on every test set; the table of metrics has the figures")


def training_chart(loss: Sequence[Mapping[str, float]], dev: Sequence[Mapping[str, float]]) -> str:
    """A track's training: the loss and its terms, and MAP on dev with the kept checkpoint; either may be empty."""
    figure = Figure(figsize=(7.6, 2.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    terms = [name for name in (loss[0] if loss else ()) if name not in ("step", "loss")]
    drawn = {"loss": (TEACHER, "-"), **dict(zip(terms, TERMS, strict=False))}
    for name, (colour, line) in drawn.items():
        points = [point for point in loss if name in point]
        steps, values = ([point[key] for point in points] for key in ("step", name))
        left.plot(steps, values, line, color=colour, label=name.replace("_", " "))
    if len(terms) > 1:
        left.legend(frameon=False, fontsize=8)
    _dress(left, "step", "loss (train)")
    right.plot([point["step"] for point in dev], [point["map"] for point in dev], color=AFTER, marker="o")
    if dev:
        best = max(dev, key=lambda point: point["map"])
        place = best["step"], best["map"]
        right.scatter(*place, s=110, facecolors="none", edgecolors=AFTER, zorder=3)
        right.annotate("kept", place, textcoords="offset points", xytext=(-4, -20), ha="right", color=AFTER)
    _dress(right, "step", "MAP (dev)")
    return svg(figure, "The loss of each step, and MAP on the dev split at each evaluation")


def guard_chart(guard: Mapping[str, Any]) -> str:
    """A track's guard: MAP in-domain against MAP on the guard set, both on dev, from before to after training."""
    figure = Figure(figsize=(7.6, 3.2), layout="constrained")
    axes = figure.subplots()
    points = guard["points"]
    kept = next(point for point in points if point["alpha"] == guard["alpha"])
    axes.plot([point["in_domain"] for point in points], [point["guard"] for point in points], color=AFTER, marker="o")
    axes.scatter(kept["in_domain"], kept["guard"], s=110, facecolors="none", edgecolors=AFTER, zorder=3)
    names = {0: "before (α = 0)", 1: "after (1)"}
    for last, point in zip(points[:1] + points, points, strict=False):
        label = names.get(point["alpha"], f"{point['alpha']:g}") + (", kept" if point is kept else "")
        clear = -6, -12 if point["guard"] < last["guard"] else 6  # of the line, which comes from above or from below
        place = point["in_domain"], point["guard"]
        axes.annotate(label, place, textcoords="offset points", xytext=clear, ha="right", color=AFTER)
    on_guard, below = [point["guard"] for point in points], guard.get("max_below_best")
    limit = max(on_guard[0] - guard["max_loss"], max(on_guard) - (1 if below is None else below))
    axes.axhline(limit, color=BEFORE, ls="--", lw=1)
    axes.margins(x=0.2, y=0.2)
    _dress(axes, "in-domain MAP (dev)", f"{guard['dataset']} MAP (dev)")
    return svg(
        figure,
        f"In-domain MAP and MAP of {guard['dataset']} at each point between before and after; kept is "
        f"{guard['alpha']:g}, with {kept['in_domain']:.4f} and {kept['guard']:.4f}",
    )


def models_chart(of: ComparedSet, cost: Mapping[str, Any]) -> str:
    """MAP of a track's student and teacher on a test set, against their speed and size, as far as these are known.

    Args:
        of: the test set.
        cost: the track's block of metrics/cost.json.
    """
    marks = []
    for name in ("before", "after", "labels_only", "teacher"):
        if name in of.entry["map"]:
            whose = "teacher" if name == "teacher" else "student"
            costs = cost["speed"].get(whose, {}).get("median"), (cost[whose]["bytes"] or 0) / 1e6
            marks.append(Mark(NAMES[name], *MARKS[name], costs, of.entry["map"][name]))
    return svg(
        _quality(("pairs a second (median)", "weights (MB)"), f"MAP, {of.dataset}", marks, len(marks)),
        f"MAP of student and teacher on {of.dataset} against their speed and size; the tables of metrics, and of size "
        "and speed, have the figures",
    )


def systems_chart(track: str, found: Mapping[str, float], systems: Mapping[str, Any]) -> str:
    """nDCG@10 of searches and searches in a row, against the time of a query and against memory.

    Args:
        track: which searches.
        found: nDCG@10 by system.
        systems: by system: `p50` in milliseconds, and `bytes`.
    """
    marks = [
        Mark(
            system_words(name, track),
            BEFORE if name.startswith("bm25") else AFTER,
            "D" if "+" in name else "o",
            (of["p50"], of["bytes"] / 1e6),
            found[name],
        )
        for name, of in systems.items()
    ]
    return svg(
        _quality(("milliseconds a query (median)", "memory (MB)"), "nDCG@10, in-domain", marks, 2),
        "nDCG@10 of each search against its time and memory; the table of searches in a row has them",
    )


def needed_chart(points: Sequence[Mapping[str, Any]]) -> str:
    """MAP by the number of train queries, of each domain that has points, with intervals."""
    figure = Figure(figsize=(7.6, 2.5), layout="constrained")
    domains = list(dict.fromkeys(point["domain"] for point in points))
    axes = figure.subplots(1, 2)
    for part in axes[len(domains) :]:
        part.set_visible(False)
    for part, domain in zip(axes, domains, strict=False):
        for model in ("after", "labels_only"):
            colour, marker = MARKS[model]
            line = [point for point in points if (point["domain"], point["model"]) == (domain, model)]
            queries = [point["queries"] for point in line]
            part.plot(queries, [point["mean"] for point in line], color=colour, marker=marker, label=NAMES[model])
            part.fill_between(
                queries, *([point[end] for point in line] for end in ("low", "high")), color=colour, alpha=0.15
            )
        part.set_xscale("log", base=2)
        ticks = sorted({point["queries"] for point in points})
        part.set_xticks(ticks, [str(queries) for queries in ticks], fontsize=8)  # so that the last two do not touch
        _dress(part, "train queries", f"{domain.replace('_', '-')} MAP")
    axes[0].legend(frameon=False)
    return svg(figure, "MAP by the number of train queries; the table of how many queries are needed has the figures")


def _quality(costs: Sequence[str], quality: str, marks: Sequence[Mark], columns: int) -> Figure:
    """What is good against what it costs: a panel for each cost that is known of any mark."""
    figure = Figure(figsize=(7.6, 2.7), layout="constrained")
    known = [place for place in range(len(costs)) if any(mark.costs[place] for mark in marks)]
    axes = figure.subplots(1, len(known), sharey=True, squeeze=False)[0]
    for part, place in zip(axes, known, strict=True):
        there = [(mark, value) for mark in marks if (value := mark.costs[place])]
        for mark, value in there:
            part.scatter(value, mark.quality, marker=mark.marker, color=mark.colour, s=42, label=mark.label)
        values = [value for _, value in there]
        if max(values) < 10 * min(values):
            part.set_xlim(0, 1.1 * max(values))
        else:
            part.set_xscale("log")
            part.xaxis.set_major_formatter("{x:g}")
        _dress(part, costs[place], quality if part is axes[0] else "")
    figure.legend(*axes[-1].get_legend_handles_labels(), loc="outside upper center", ncols=columns, frameon=False)
    return figure


def _dress(axes: Axes, across: str, up: str) -> None:
    axes.set(xlabel=across, ylabel=up)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def svg(figure: Figure, says: str) -> str:
    """A figure as SVG without a background, in the page's colours; `says` is read out in its place."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(says, quote=True)}"', 1)
