"""The sentences with which the page opens: what was distilled, what was gained, and what it cost."""

from collections.abc import Collection, Mapping
from typing import Any

from decant.report.comparison import compared_sets
from decant.report.figures import millions, percent
from decant.report.statistics import holm


def opening(
    comparison: Mapping[str, Any],
    cost: Mapping[str, Any],
    models: Mapping[str, Mapping[str, str]],
    trained: Collection[str],
) -> dict[str, list[str]]:
    """Three sentences for each track; none calls a difference one that its test does not show.

    Args:
        comparison: the content of metrics/comparison.json.
        cost: the content of metrics/cost.json.
        models: track → `teacher` and `student` → the name of the model.
        trained: the tracks whose training made a step.
    """
    told, compared = {}, compared_sets(comparison)
    teachers = holm([of.entry["map"]["over_teacher"]["p_value"] for of in compared])
    beside = {(of.track, of.domain, of.dataset): p for of, p in zip(compared, teachers, strict=True)}
    for track, block in comparison.items():
        # The whole set stands before its parts and before shortened embeddings, which the tables have.
        sets = {domain: next(iter(entries.items())) for domain, entries in block["domains"].items()}
        moved = {
            domain: _moved(dataset, entry["map"], block, beside[track, domain.replace("_", "-"), dataset])
            for domain, (dataset, entry) in sets.items()
        }
        lost = f"; out of its domain, {moved['out_of_domain']}" if "out_of_domain" in moved else ""
        told[track] = [
            _distilled(cost[track], models[track], block["fresh_head"], sets["in_domain"][0], track in trained),
            f"In its own domain, {moved['in_domain']}.",
            f"{_cost(cost[track], track in trained)}{lost}.",
        ]
    return told


def _distilled(
    cost: Mapping[str, Any], models: Mapping[str, str], fresh_head: bool, dataset: str, trained: bool
) -> str:
    sizes = {name: cost[name]["parameters"] for name in ("teacher", "student")}
    teacher, student = (
        models[name] + (f" ({millions(size, 'M', 1)} parameters)" if size else "") for name, size in sizes.items()
    )
    head = ", whose head was drawn anew," if fresh_head else ""
    done = "was distilled into" if trained else "scored for"
    left = "" if trained else ", which made no training step"
    return f"{teacher} {done} {student}{head} on {dataset}{left}."


def _moved(dataset: str, values: Mapping[str, Any], block: Mapping[str, Any], beside_teacher: float) -> str:
    """Of one test set: the change, and the place beside the teacher, each by a p-value adjusted for all test sets."""
    change, limit = values["change"], 1 - block["confidence"]
    moved = "went"
    if change["p_holm"] < limit:
        moved = "rose" if change["mean"] > 0 else "fell"
    beside = "with no significant difference from"
    if beside_teacher < limit:
        beside = "significantly above" if values["over_teacher"]["mean"] > 0 else "significantly below"
    doubt = " (no significant change)" if moved == "went" else ""
    figures = f"from {values['before']:.4f} to {values['after']:.4f}{doubt}"
    return f"on {dataset}, MAP {moved} {figures}, {beside} its teacher's {values['teacher']:.4f}"


def _cost(cost: Mapping[str, Any], trained: bool) -> str:
    teacher, student, speed = cost["teacher"]["parameters"], cost["student"]["parameters"], cost["speed"]
    took = f"Training took {cost['training_seconds']:.0f} s" if trained else "It is as it was before training"
    size = (
        f", and the student has {percent(student / teacher, digits=0)} of its teacher's parameters" if teacher else ""
    )
    faster = f" and {speed['ratio']['median']:.2f} times its speed here" if size and speed["measured"] else ""
    return f"{took}{size}{faster}"
