"""The comparison as Markdown: its tables, and what must not be overlooked."""

from collections.abc import Mapping, Sequence
from typing import Any

from decant.report.comparison import LABELS, NAMES, overlap_rows, shown_models, test_sets
from decant.report.figures import millions, p_value, percent, rate, shared, signed
from decant.report.notes import notes

SPLIT_PAIRS = ("train-dev", "train-test", "dev-test")


def markdown(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> str:
    """All tables of the report and its notes.

    Args:
        comparison: the content of metrics/comparison.json.
        cost: the content of metrics/cost.json.
    """
    tables = [_means(comparison), _changes(comparison), _sizes(cost)]
    listed = "\n".join(f"- {note}" for note in notes(comparison, cost))
    return "\n\n".join([*tables, listed, _overlap(comparison)]) + "\n"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _means(comparison: Mapping[str, Any]) -> str:
    """The mean of every model, a row a test set and metric."""
    models = shown_models(comparison)
    rows = [
        [
            *_place(track, domain, entry, label),
            *(f"{entry[metric][name]:.4f}" if name in entry[metric] else "–" for name in models),
        ]
        for track, domain, entry in test_sets(comparison)
        for metric, label in LABELS.items()
    ]
    return table(["track", "test set", "metric", *(NAMES[name] for name in models)], rows)


def _changes(comparison: Mapping[str, Any]) -> str:
    """What distilling changed, and how sure that is."""
    confidence = percent(next(iter(comparison.values()))["confidence"], digits=0)
    tests = len(test_sets(comparison)) * len(LABELS)
    rows = []
    for track, domain, entry in test_sets(comparison):
        resamples = comparison[track]["resamples"]
        for metric, label in LABELS.items():
            values, change = entry[metric], entry[metric]["change"]
            rows.append(
                [
                    *_place(track, domain, entry, label),
                    f"{signed(change['mean'])} ({signed(change['low'])} … {signed(change['high'])})",
                    p_value(change["p_value"], resamples),
                    p_value(change["p_holm"], resamples, tests),
                    percent(values["relative_change"], plus=True),
                    percent(values["gap_closed"]),
                ]
            )
    change = f"after − before ({confidence} interval)"
    return table(["track", "test set", "metric", change, "p", "p (Holm)", "relative", "gap closed"], rows)


def _place(track: str, domain: str, entry: Mapping[str, Any], label: str) -> list[str]:
    return [track, f"{entry['dataset']}, {domain}", label]


def _sizes(cost: Mapping[str, Any]) -> str:
    rows = [
        [
            track,
            name,
            millions(measured[name]["parameters"], "M", digits=1),
            millions(measured[name]["bytes"], "MB"),
            rate(measured[name]["pairs_per_second"]),
        ]
        for track, measured in cost.items()
        for name in ("teacher", "student")
    ]
    return table(["track", "model", "parameters", "size", "pairs/s"], rows)


def _overlap(comparison: Mapping[str, Any]) -> str:
    """What splits share; "a → b" is train of a and test of b."""
    rows = [
        [name, role, *(shared(pairs.get(pair)) for pair in SPLIT_PAIRS)]
        for name, role, pairs in overlap_rows(comparison)
    ]
    headers = ["shared texts: exact / folded / near", "role", *(pair.replace("-", " → ") for pair in SPLIT_PAIRS)]
    return table(headers, rows)
