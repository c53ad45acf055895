"""Compare before, after, teacher and baselines: what was gained, what was lost, and how sure that is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from decant.evaluate.metrics import METRICS
from decant.report.seeds import paired_difference
from decant.report.settings import ReportSettings
from decant.report.statistics import Values, holm

Metrics = Mapping[str, Values]
# The models of a comparison as the report names them, in its order.
NAMES = {
    "before": "before",
    "after": "after",
    "teacher": "teacher",
    "labels_only": "labels only",
    "baseline": "untouched model",
    "bm25": "BM25",
}
BASELINES = ("labels_only", "baseline", "bm25")


class ComparedSet(NamedTuple):
    """A test set of a comparison: its track, its domain in words, its name, and what came out on it."""

    track: str
    domain: str
    dataset: str
    entry: Any


def compare(models: Mapping[str, Metrics], settings: ReportSettings, seed: int) -> dict[str, Any]:
    """Compare the models on one test split.

    Args:
        models: model name → metric → one value a query, in the same order for all; `before` and `after` are needed,
            the others of `NAMES` may be absent.
        settings: of tests and intervals.
        seed: of their resamples.

    Returns:
        metric → the means, `change` (after − before) with its interval and p-value, `relative_change`,
        `gap_closed` (the share of teacher − before that the student has made good; null where the teacher is not
        better than before), and `over_<baseline>` (after − baseline) for each baseline that ran.
    """
    result: dict[str, Any] = {"queries": len(models["after"]["map"])}
    for metric in METRICS:
        means = {name: float(np.mean(values[metric])) for name, values in models.items()}
        gap = means["teacher"] - means["before"] if "teacher" in means else 0.0
        change = means["after"] - means["before"]
        entry: dict[str, Any] = {
            **{name: round(mean, 6) for name, mean in means.items()},
            "change": _tested(models["after"][metric], models["before"][metric], settings, seed),
            "relative_change": round(change / means["before"], 6) if means["before"] else None,
            "gap_closed": round(change / gap, 6) if round(gap, 6) > 0 else None,
        }
        for name in BASELINES:
            if name in models:
                entry[f"over_{name}"] = _tested(models["after"][metric], models[name][metric], settings, seed)
        result[metric] = entry
    differences = np.sign(np.round(models["after"]["map"] - models["before"]["map"], 9))  # rounding dust is a tie
    result["wins"], result["ties"], result["losses"] = (int((differences == sign).sum()) for sign in (1, 0, -1))
    return result


def _tested(first: Values, second: Values, settings: ReportSettings, seed: int) -> dict[str, float]:
    difference = paired_difference(first, second, settings, seed)
    return {name: round(getattr(difference, name), 6) for name in ("mean", "low", "high", "p_value")}


def adjust(comparison: Mapping[str, Any]) -> None:
    """Add `p_holm` to every change: its p-value, adjusted for all changes that stand in one table.

    Args:
        comparison: track → its block, which is changed in place.
    """
    changes = [compared.entry[metric]["change"] for compared in compared_sets(comparison) for metric in METRICS]
    for change, adjusted in zip(changes, holm([change["p_value"] for change in changes]), strict=True):
        change["p_holm"] = round(adjusted, 6)


def changes_shown(comparison: Mapping[str, Any]) -> int:
    """How many changes stand in one table: for so many, `p_holm` is adjusted."""
    return len(compared_sets(comparison)) * len(METRICS)


def compared_sets(comparison: Mapping[str, Any]) -> list[ComparedSet]:
    """Every test set compared."""
    return [
        ComparedSet(track, domain.replace("_", "-"), dataset, entry)
        for track, block in comparison.items()
        for domain, entries in block["domains"].items()
        for dataset, entry in entries.items()
    ]


def shown_models(comparison: Mapping[str, Any]) -> list[str]:
    """The models to be shown, in the report's order: the baselines where they ran."""
    ran = {name for compared in compared_sets(comparison) for name in NAMES if name in compared.entry["map"]}
    return [name for name in NAMES if name in ran or name not in BASELINES]


def overlap_rows(comparison: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(set, role, pair of splits → counts) of every set of the tracks, each set once."""
    sets = {name: pairs for block in comparison.values() for name, pairs in block["overlap"].items()}
    return [
        (name, role, {pair: counts[role] for pair, counts in pairs.items()})
        for name, pairs in sets.items()
        for role in ("queries", "candidates")
    ]
