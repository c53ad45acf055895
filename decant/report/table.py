"""The comparison as Markdown: its tables, and what must not be overlooked."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from decant.evaluate.metrics import METRICS
from decant.report.comparison import NAMES, ComparedSet, changes_shown, compared_sets, overlap_rows, shown_models
from decant.report.figures import interval, millions, p_value, percent, shared, spread
from decant.report.further import further_tables
from decant.report.notes import notes

PLACE = ("track", "test set")
SPLIT_PAIRS = ("train-dev", "train-test", "dev-test")


def markdown(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> str:
    """All tables of the report and its notes, the summary first, from metrics/comparison.json and metrics/cost.json."""
    tables = [summary(comparison), _means(comparison), _changes(comparison), *_further(comparison, cost), _sizes(cost)]
    listed = "\n".join(f"- {note}" for note in notes(comparison, cost))
    return "\n\n".join([*tables, listed, _overlap(comparison)]) + "\n"


def summary(comparison: Mapping[str, Any]) -> str:
    """MAP of every model and what distilling changed, a row a test set: six of them at most for three tracks."""
    models = shown_models(comparison)
    rows = [
        [*_place(compared), *_figures(compared, "map", models), *_change(comparison, compared, "map")]
        for compared in compared_sets(comparison)
    ]
    names = [f"MAP {NAMES[models[0]]}", *(NAMES[name] for name in models[1:])]
    return table([*PLACE, *names, _change_header(comparison), "p (Holm)"], rows)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _means(comparison: Mapping[str, Any]) -> str:
    """The mean of every model, a row a test set and metric."""
    models = shown_models(comparison)
    rows = [
        [*_place(compared), METRICS[metric].label, *_figures(compared, metric, models)]
        for compared in compared_sets(comparison)
        for metric in METRICS
    ]
    return table([*PLACE, "metric", *(NAMES[name] for name in models)], rows)


def _changes(comparison: Mapping[str, Any]) -> str:
    """What distilling changed, and how sure that is."""
    rows = []
    for compared in compared_sets(comparison):
        for metric, measured in METRICS.items():
            entry = compared.entry[metric]
            change, p_holm = _change(comparison, compared, metric)
            p = p_value(entry["change"]["p_value"], comparison[compared.track]["resamples"])
            shares = percent(entry["relative_change"], plus=True), percent(entry["gap_closed"])
            rows.append([*_place(compared), measured.label, change, p, p_holm, *shares])
    return table([*PLACE, "metric", _change_header(comparison), "p", "p (Holm)", "relative", "gap closed"], rows)


def _further(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> Iterator[str]:
    """The further tables, each behind its title; those without rows are left out."""
    for title, (headers, rows) in further_tables(comparison, cost).items():
        if rows:
            yield from (f"{title}:", table(headers, rows))


def _place(compared: ComparedSet) -> tuple[str, str]:
    return compared.track, f"{compared.dataset}, {compared.domain}"


def _figures(compared: ComparedSet, metric: str, models: Sequence[str]) -> list[str]:
    values = compared.entry[metric]
    return [f"{values[name]:.4f}" if name in values else "–" for name in models]


def _change(comparison: Mapping[str, Any], compared: ComparedSet, metric: str) -> tuple[str, str]:
    """The change with its interval, and its adjusted p-value."""
    change, resamples = compared.entry[metric]["change"], comparison[compared.track]["resamples"]
    return interval(**change), p_value(change["p_holm"], resamples, changes_shown(comparison))


def _change_header(comparison: Mapping[str, Any]) -> str:
    confidence = next(iter(comparison.values()))["confidence"]
    return f"after − before ({percent(confidence, digits=0)} interval)"


def _sizes(cost: Mapping[str, Any]) -> str:
    """Sizes, and the speeds where they were measured on any track."""
    headers = ["track", "model", "parameters", "size", "pairs/s (range)"]
    rows = []
    for track, measured in cost.items():
        for name in ("teacher", "student"):
            parameters = millions(measured[name]["parameters"], "M", digits=1)
            size = millions(measured[name]["bytes"], "MB")
            rows.append([track, name, parameters, size, spread(measured["speed"].get(name))])
    if not any(measured["speed"]["measured"] for measured in cost.values()):
        headers, rows = headers[:-1], [row[:-1] for row in rows]
    return table(headers, rows)


def _overlap(comparison: Mapping[str, Any]) -> str:
    """What splits share; "a → b" is train of a and test of b."""
    headers = ["shared texts: exact / folded / near", "role", *(pair.replace("-", " → ") for pair in SPLIT_PAIRS)]
    rows = overlap_rows(comparison)
    return table(
        headers, [[name, role, *(shared(pairs.get(pair)) for pair in SPLIT_PAIRS)] for name, role, pairs in rows]
    )
