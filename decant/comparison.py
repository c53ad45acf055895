"""Compare before, after, teacher and baselines: what was gained, what was lost, and how sure that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from decant.metrics import METRICS
from decant.statistics import Values, paired_difference

Metrics = Mapping[str, Values]


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
            "gap_closed": round(change / gap, 6) if gap > 0 else None,
        }
        if "labels_only" in models:
            entry["over_labels_only"] = _tested(models["after"][metric], models["labels_only"][metric], settings)
        result[metric] = entry
    differences = np.sign(models["after"]["map"] - models["before"]["map"])
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
    with_labels = any(
        "labels_only" in domain["map"] for track in comparison.values() for domain in track["domains"].values()
    )
    columns = ["before", "after", "teacher", *(["labels only"] if with_labels else [])]
    lines = [
        f"| track | test set | metric | {' | '.join(columns)} | change (95 % interval) | p | relative | gap closed |".replace(
            "95 %", f"{next(iter(comparison.values()))['confidence']:.0%}".replace("%", " %")
        ),
        "| " + " | ".join(["---"] * (7 + len(columns))) + " |",
    ]
    for track, block in comparison.items():
        for domain, entry in block["domains"].items():
            for metric in METRICS:
                values = entry[metric]
                change = values["change"]
                cells = [
                    f"{values[name.replace(' ', '_')]:.4f}" if name.replace(" ", "_") in values else "–"
                    for name in columns
                ]
                lines.append(
                    f"| {track} | {entry['dataset']}, {domain.replace('_', '-')} | {LABELS[metric]} | {' | '.join(cells)} | "
                    f"{signed(change['mean'])} ({signed(change['low'])} … {signed(change['high'])}) | {p_value(change['p_value'], block['resamples'])} | "
                    f"{percent(values['relative_change'], plus=True)} | {percent(values['gap_closed'])} |"
                )
    lines += [
        "",
        "| track | model | parameters | size | pairs/s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for track, models in cost.items():
        for name in ("teacher", "student"):
            entry = models[name]
            lines.append(
                f"| {track} | {name} | {entry['parameters'] / 1e6:.1f} M | {entry['bytes'] / 1e6:.0f} MB | {entry['pairs_per_second']:.0f} |"
            )
    remarks = notes(comparison, cost)
    return "\n".join([*lines, "", *(f"- {note}" for note in remarks)]).rstrip() + "\n"


LABELS = {"map": "MAP", "mrr@10": "MRR@10", "ndcg@10": "nDCG@10"}


def notes(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> list[str]:
    """What a reader of the tables would otherwise overlook: losses, a slow student, an untrained start."""
    found = []
    for track, block in comparison.items():
        if block["fresh_head"]:
            found.append(
                f"{track}: `before` is an untrained head, so its row is chance, not a model that anyone would use."
            )
        speed = {name: cost[track][name]["pairs_per_second"] for name in ("teacher", "student")}
        ratio = speed["student"] / speed["teacher"]
        said = (
            f"{ratio:.1f} times as fast as"
            if ratio >= 1
            else f"slower than its teacher, at {ratio:.2f} times the speed of"
        )
        share = cost[track]["student"]["parameters"] / cost[track]["teacher"]["parameters"]
        found.append(
            f"{track}: the student is {said} the teacher in reranking, with {share:.0%} of its parameters.".replace(
                "slower than its teacher, at", "slower: it reranks at"
            )
        )
        for domain, entry in block["domains"].items():
            change = entry["map"]["change"]
            place = f"{track}, {domain.replace('_', '-')} ({entry['dataset']})"
            if change["mean"] < 0:
                sure = "and that is" if change["p_value"] < 0.05 else "though that is not"
                found.append(
                    f"{place}: MAP fell by {-change['mean']:.4f}, {sure} significant (p {p_value(change['p_value'], block['resamples'])})."
                )
            if entry["map"]["after"] < entry["map"].get("teacher", 0):
                found.append(
                    f"{place}: the student stays below its teacher by {entry['map']['teacher'] - entry['map']['after']:.4f} MAP."
                )
    if not any("labels_only" in entry["map"] for block in comparison.values() for entry in block["domains"].values()):
        found.append(
            "No labels-only student was trained (`baselines.labels_only` is off), so what the teacher adds to the labels is not shown."
        )
    return found


def signed(value: float) -> str:
    """A difference with its sign, to 4 decimals."""
    return f"{value:+.4f}"


def percent(value: float | None, plus: bool = False) -> str:
    """A share as a percentage; an en dash where there is none."""
    return "–" if value is None else f"{value:{'+' if plus else ''}.1%}".replace("%", " %")


def p_value(value: float, resamples: int) -> str:
    """A p-value, bounded below by what the number of resamples can tell."""
    least = 2 / (resamples + 1)
    return f"≤ {least:.4f}" if value <= least else f"{value:.4f}"
