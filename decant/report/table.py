"""The comparison as Markdown: its tables, and what must not be overlooked."""

from collections.abc import Mapping, Sequence
from typing import Any

from decant.evaluate.metrics import METRICS
from decant.report.comparison import NAMES, ComparedSet, changes_shown, compared_sets, overlap_rows, shown_models
from decant.report.figures import interval, millions, p_value, percent, shared, spread
from decant.report.notes import notes

SPLIT_PAIRS = ("train-dev", "train-test", "dev-test")


def markdown(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> str:
    """All tables of the report and its notes, the summary first.

    Args:
        comparison: the content of metrics/comparison.json.
        cost: the content of metrics/cost.json.
    """
    tables = [summary(comparison), _means(comparison), _changes(comparison), _sizes(cost)]
    listed = "\n".join(f"- {note}" for note in notes(comparison, cost))
    return "\n\n".join([*tables, listed, _overlap(comparison)]) + "\n"


def summary(comparison: Mapping[str, Any]) -> str:
    """MAP of every model and what distilling changed, a row a test set: six of them at most for three tracks.

    Args:
        comparison: the content of metrics/comparison.json.
    """
    models = shown_models(comparison)
    rows = [
        [
            compared.track,
            f"{compared.dataset}, {compared.domain}",
            *_figures(compared.entry["map"], models),
            interval(**compared.entry["map"]["change"]),
            _p_holm(comparison, compared, "map"),
        ]
        for compared in compared_sets(comparison)
    ]
    names = [f"MAP {NAMES[models[0]]}", *(NAMES[name] for name in models[1:])]
    return table(["track", "test set", *names, _change_header(comparison), "p (Holm)"], rows)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _means(comparison: Mapping[str, Any]) -> str:
    """The mean of every model, a row a test set and metric."""
    models = shown_models(comparison)
    rows = [
        [*_place(compared, metric), *_figures(compared.entry[metric], models)]
        for compared in compared_sets(comparison)
        for metric in METRICS
    ]
    return table(["track", "test set", "metric", *(NAMES[name] for name in models)], rows)


def _changes(comparison: Mapping[str, Any]) -> str:
    """What distilling changed, and how sure that is."""
    rows = [
        [
            *_place(compared, metric),
            interval(**compared.entry[metric]["change"]),
            p_value(compared.entry[metric]["change"]["p_value"], comparison[compared.track]["resamples"]),
            _p_holm(comparison, compared, metric),
            percent(compared.entry[metric]["relative_change"], plus=True),
            percent(compared.entry[metric]["gap_closed"]),
        ]
        for compared in compared_sets(comparison)
        for metric in METRICS
    ]
    headers = ["track", "test set", "metric", _change_header(comparison), "p", "p (Holm)", "relative", "gap closed"]
    return table(headers, rows)


def _change_header(comparison: Mapping[str, Any]) -> str:
    confidence = next(iter(comparison.values()))["confidence"]
    return f"after − before ({percent(confidence, digits=0)} interval)"


def _p_holm(comparison: Mapping[str, Any], compared: ComparedSet, metric: str) -> str:
    resamples = comparison[compared.track]["resamples"]
    return p_value(compared.entry[metric]["change"]["p_holm"], resamples, changes_shown(comparison))


def _figures(values: Mapping[str, Any], models: Sequence[str]) -> list[str]:
    return [f"{values[name]:.4f}" if name in values else "–" for name in models]


def _place(compared: ComparedSet, metric: str) -> list[str]:
    return [compared.track, f"{compared.dataset}, {compared.domain}", METRICS[metric].label]


def _sizes(cost: Mapping[str, Any]) -> str:
    """Sizes, and the speeds where they were measured on any track."""
    is_timed = any(measured["speed"]["measured"] for measured in cost.values())
    rows = [
        [
            track,
            name,
            millions(measured[name]["parameters"], "M", digits=1),
            millions(measured[name]["bytes"], "MB"),
            *([spread(measured["speed"].get(name))] if is_timed else []),
        ]
        for track, measured in cost.items()
        for name in ("teacher", "student")
    ]
    return table(["track", "model", "parameters", "size", *(["pairs/s (range)"] if is_timed else [])], rows)


def _overlap(comparison: Mapping[str, Any]) -> str:
    """What splits share; "a → b" is train of a and test of b."""
    rows = [
        [name, role, *(shared(pairs.get(pair)) for pair in SPLIT_PAIRS)]
        for name, role, pairs in overlap_rows(comparison)
    ]
    headers = ["shared texts: exact / folded / near", "role", *(pair.replace("-", " → ") for pair in SPLIT_PAIRS)]
    return table(headers, rows)
