"""Compare before, after, teacher and baselines: what was gained, what was lost, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from decant.metrics import METRICS
from decant.statistics import Values, paired_difference

Metrics = Mapping[str, Values]
LABELS = {"map": "MAP", "mrr@10": "MRR@10", "ndcg@10": "nDCG@10"}


@dataclass(frozen=True)
class TestSettings:
    """Of the randomisation test and the bootstrap; the fields are those of `report` in params, and the seed."""

    resamples: int
    confidence: float
    seed: int


def compare(models: Mapping[str, Metrics], settings: TestSettings) -> dict[str, Any]:
    """Compare the models on one test split.

    Args:
        models: model name → metric → one value a query, in the same order for all; `before` and `after` are needed,
            `teacher` and `labels_only` may be absent.
        settings: of the tests.

    Returns:
        metric → the means, `change` (after − before) with its interval and p-value, `relative_change`,
        `gap_closed` (the share of teacher − before that the student has made good; null where the teacher is not
        better than before), and `over_labels_only` where that student was trained.
    """
    result: dict[str, Any] = {"queries": len(models["after"]["map"])}
    for metric in METRICS:
        means = {name: float(np.mean(values[metric])) for name, values in models.items()}
        gap = means["teacher"] - means["before"] if "teacher" in means else 0.0
        change = means["after"] - means["before"]
        entry: dict[str, Any] = {
            **{name: round(mean, 6) for name, mean in means.items()},
            "change": _tested(models["after"][metric], models["before"][metric], settings),
            "relative_change": round(change / means["before"], 6) if means["before"] else None,
            "gap_closed": round(change / gap, 6) if round(gap, 6) > 0 else None,
        }
        if "labels_only" in models:
            entry["over_labels_only"] = _tested(models["after"][metric], models["labels_only"][metric], settings)
        result[metric] = entry
    differences = np.sign(np.round(models["after"]["map"] - models["before"]["map"], 9))  # rounding dust is a tie
    result["wins"], result["ties"], result["losses"] = (int((differences == sign).sum()) for sign in (1, 0, -1))
    return result


def _tested(one: Values, other: Values, settings: TestSettings) -> dict[str, float]:
    difference = paired_difference(
        one, other, resamples=settings.resamples, confidence=settings.confidence, seed=settings.seed
    )
    return {
        "mean": round(difference.mean, 6),
        "low": round(difference.low, 6),
        "high": round(difference.high, 6),
        "p_value": round(difference.p_value, 6),
    }


def markdown(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> str:
    """The comparison as Markdown: a table of metrics, a table of size and speed, and what must not be overlooked."""
    models = ["before", "after", "teacher", *(["labels_only"] if has_labels_only(comparison) else [])]
    confidence = percent(next(iter(comparison.values()))["confidence"], digits=0)
    headers = ["track", "test set", "metric", *(name.replace("_", " ") for name in models)]
    headers += [f"change ({confidence} interval)", "p", "relative", "gap closed"]
    rows = []
    for track, domain, entry in test_sets(comparison):
        for metric, label in LABELS.items():
            values, change = entry[metric], entry[metric]["change"]
            rows.append(
                [
                    track,
                    f"{entry['dataset']}, {domain}",
                    label,
                    *(f"{values[name]:.4f}" if name in values else "–" for name in models),
                    f"{signed(change['mean'])} ({signed(change['low'])} … {signed(change['high'])})",
                    p_value(change["p_value"], comparison[track]["resamples"]),
                    percent(values["relative_change"], plus=True),
                    percent(values["gap_closed"]),
                ]
            )
    sizes = [
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
    tables = [_table(headers, rows), _table(["track", "model", "parameters", "size", "pairs/s"], sizes)]
    return "\n\n".join([*tables, "\n".join(f"- {note}" for note in notes(comparison, cost))]) + "\n"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def test_sets(comparison: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """(track, domain in words, entry) of every test set compared."""
    return [
        (track, domain.replace("_", "-"), entry)
        for track, block in comparison.items()
        for domain, entry in block["domains"].items()
    ]


def has_labels_only(comparison: Mapping[str, Any]) -> bool:
    """Whether a labels-only student was trained."""
    return any("labels_only" in entry["map"] for _, _, entry in test_sets(comparison))


def notes(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> list[str]:
    """What a reader of the tables would otherwise overlook: losses, a slow student, an untrained start."""
    found = []
    for track, block in comparison.items():
        if block["fresh_head"]:
            found.append(
                f"{track}: `before` is an untrained head: its row is chance, not a model that anyone would use."
            )
        teacher, student = cost[track]["teacher"], cost[track]["student"]
        if teacher["pairs_per_second"] is None:
            found.append(
                f"{track}: the teacher never ran here (its scores were there already): its speed is not known."
            )
            continue
        ratio = student["pairs_per_second"] / teacher["pairs_per_second"]
        size = ""
        if teacher["parameters"]:
            size = f", with {percent(student['parameters'] / teacher['parameters'], digits=0)} of its parameters"
        found.append(
            f"{track}: the student reranks {'faster' if ratio >= 1 else 'slower'} than its teacher, "
            f"at {ratio:.2f} times its speed{size}."
        )
    for track, domain, entry in test_sets(comparison):
        values, change, place = entry["map"], entry["map"]["change"], f"{track}, {domain} ({entry['dataset']})"
        if change["mean"] < 0:
            tested = "significant" if change["p_value"] < 0.05 else "not significant"
            shown = p_value(change["p_value"], comparison[track]["resamples"])
            found.append(f"{place}: MAP fell by {-change['mean']:.4f} ({tested}, p {shown}).")
        if values["after"] < values.get("teacher", 0):
            found.append(f"{place}: the student stays {values['teacher'] - values['after']:.4f} MAP below its teacher.")
    if not has_labels_only(comparison):
        found.append(
            "No labels-only student was trained (`baselines.labels_only` is off): "
            "what the teacher adds to the labels is not shown."
        )
    return found


def millions(count: int, unit: str, digits: int = 0) -> str:
    """A count in millions; an en dash for 0: the weights of a teacher behind HTTP are not here to be counted."""
    return f"{count / 1e6:.{digits}f} {unit}" if count else "–"


def rate(value: float | None) -> str:
    """Pairs a second; an en dash for a teacher that never ran here, its scores being there already."""
    return "–" if value is None else f"{value:.0f}"


def signed(value: float) -> str:
    """A difference with its sign, to 4 decimals."""
    return f"{value:+.4f}"


def percent(value: float | None, *, plus: bool = False, digits: int = 1) -> str:
    """A share as a percentage; an en dash where there is none."""
    return "–" if value is None else f"{value:{'+' if plus else ''}.{digits}%}".replace("%", " %")


def p_value(value: float, resamples: int) -> str:
    """A p-value, bounded below by what the number of resamples can tell."""
    least = 2 / (resamples + 1)
    return f"≤ {least:.4f}" if value <= least else f"{value:.4f}"
