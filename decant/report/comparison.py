"""Compare before, after, teacher and baselines: what was gained, what was lost, and how sure that is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from decant.evaluate.metrics import METRICS
from decant.report.seeds import paired_differences
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
        better than before), and `over_<model>` (after − model) for the teacher and each baseline that ran.
    """

    def values(model: str) -> Values:
        return np.stack([models[model][metric] for metric in METRICS])

    over = {
        name: dict(zip(METRICS, paired_differences(values("after"), values(name), settings, seed), strict=True))
        for name in NAMES
        if name in models and name != "after"
    }
    result: dict[str, Any] = {"queries": len(models["after"]["map"])}
    for metric in METRICS:
        means = {name: float(np.mean(of[metric])) for name, of in models.items()}
        change, gap = (means.get(name, means["before"]) - means["before"] for name in ("after", "teacher"))
        result[metric] = {
            **{name: round(mean, 6) for name, mean in means.items()},
            "change": over["before"][metric].rounded(),
            "relative_change": round(change / means["before"], 6) if means["before"] else None,
            "gap_closed": round(change / gap, 6) if round(gap, 6) > 0 else None,
            **{f"over_{name}": of[metric].rounded() for name, of in over.items() if name != "before"},
        }
    rose, fell, stayed = won_lost_tied(models["after"]["map"] - models["before"]["map"])
    return {**result, "wins": rose, "ties": stayed, "losses": fell}


def won_lost_tied(differences: Values) -> list[int]:
    """How many queries' differences, shape (queries,), are above, below and at 0; rounding dust is at 0."""
    signs = np.sign(np.round(differences, 9))
    return [int((signs == sign).sum()) for sign in (1, -1, 0)]


def adjust(comparison: Mapping[str, Any]) -> None:
    """Add to every change `p_holm`: its p-value, adjusted for all changes that stand in one table."""
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
