"""The report's figures, as SVG that is the same for the same data."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from decant.report.comparison import NAMES, compared_sets
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
    left.set(xlabel="step", ylabel="loss (train)")
    right.plot([point["step"] for point in dev], [point["map"] for point in dev], color=AFTER, marker="o")
    if dev:
        best = max(dev, key=lambda point: point["map"])
        place = best["step"], best["map"]
        right.scatter(*place, s=110, facecolors="none", edgecolors=AFTER, zorder=3)
        right.annotate("kept", place, textcoords="offset points", xytext=(-4, -20), ha="right", color=AFTER)
    right.set(xlabel="step", ylabel="MAP (dev)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return svg(figure, "The loss of each step, and MAP on the dev split at each evaluation")


def guard_chart(guard: Mapping[str, Any]) -> str:
    """A track's guard: MAP on both dev splits at every point between before and after, with the kept one marked."""
    figure = Figure(figsize=(7.6, 2.5), layout="constrained")
    axes = figure.subplots(1, 2)
    names = ("in_domain", "in-domain MAP (dev)", AFTER), ("guard", f"{guard['dataset']} MAP (dev)", TEACHER)
    for part, (name, label, colour) in zip(axes, names, strict=True):
        alphas, values = ([point[key] for point in guard["points"]] for key in ("alpha", name))
        part.plot(alphas, values, color=colour, marker="o")
        kept = values[alphas.index(guard["alpha"])]
        part.scatter([guard["alpha"]], [kept], s=110, facecolors="none", edgecolors=colour, zorder=3)
        part.set(xlabel="before (0) … after (1)", ylabel=label)
        part.grid(alpha=0.3)
        part.spines[["top", "right"]].set_visible(False)
    on_guard, below = [point["guard"] for point in guard["points"]], guard.get("max_below_best")
    limit = max(on_guard[0] - guard["max_loss"], max(on_guard) - (1 if below is None else below))
    axes[1].axhline(limit, color=BEFORE, ls="--", lw=1)
    kept = next(point for point in guard["points"] if point["alpha"] == guard["alpha"])
    return svg(
        figure,
        f"In-domain MAP and MAP of {guard['dataset']} at each point between before and after; kept is "
        f"{guard['alpha']:g}, with {kept['in_domain']:.4f} and {kept['guard']:.4f}",
    )


def systems_chart(track: str, found: Mapping[str, float], systems: Mapping[str, Any]) -> str:
    """nDCG@10 of searches and searches in a row, against the time of a query and against memory.

    Args:
        track: which searches.
        found: nDCG@10 by system.
        systems: by system: `p50` in milliseconds, and `bytes`.
    """
    figure = Figure(figsize=(7.6, 2.7), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    ways = ("milliseconds a query (median)", "p50", 1), ("memory (MB)", "bytes", 1e6)
    for part, (axis, key, unit) in zip(axes, ways, strict=True):
        for name, of in systems.items():
            marker, colour = "D" if "+" in name else "o", BEFORE if name.startswith("bm25") else AFTER
            point, label = (of[key] / unit, found[name]), system_words(name, track)
            part.scatter(*point, marker=marker, color=colour, s=42, label=label)
        part.set_xscale("log")
        part.set_xlabel(axis)
        part.grid(alpha=0.3)
        part.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("nDCG@10, in-domain")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return svg(figure, "nDCG@10 of each search against its time and memory; the table of searches in a row has them")


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
        part.set(xlabel="train queries", ylabel=f"{domain.replace('_', '-')} MAP")
        part.grid(alpha=0.3)
        part.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    return svg(figure, "MAP by the number of train queries; the table of how many queries are needed has the figures")


def svg(figure: Figure, says: str) -> str:
    """A figure as SVG without a background, in the page's colours; `says` is read out in its place."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{escape(says, quote=True)}"', 1)
