"""What a reader of the tables would otherwise overlook: losses, free baselines, a slow student, an untrained start."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from decant.report.comparison import shown_models, test_sets
from decant.report.figures import p_value, percent

FREE = {"baseline": "the untouched model", "bm25": "BM25"}  # baselines that take no training


def notes(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> list[str]:
    """Plain sentences.

    Args:
        comparison: the content of metrics/comparison.json.
        cost: the content of metrics/cost.json.
    """
    found: list[str] = []
    for track, block in comparison.items():
        found += _track_notes(track, block, cost[track])
    for track, domain, entry in test_sets(comparison):
        place, block = f"{track}, {domain} ({entry['dataset']})", comparison[track]
        same = block["baseline"] is not None and block["baseline"]["is_teacher"]  # then its line is the teacher's
        found += _set_notes(place, entry["map"], block["resamples"], {"bm25"} if same else set(FREE))
        if domain == "out-of-domain" and -entry["map"]["change"]["mean"] > block["guard"]["max_loss"]:
            found.append(f"{place}: that is more than the {block['guard']['max_loss']:g} that guard.max_loss allows.")
    if "labels_only" not in shown_models(comparison):
        found.append(
            "No labels-only student was trained (`baselines.labels_only` is off): "
            "what the teacher adds to the labels is not shown."
        )
    found.append(
        "Intervals and p-values are over queries, of this checkpoint, one seed: another training seed may do better or "
        "worse. `python -m decant.experiments.comparing` compares several seeds."
    )
    return found


def _track_notes(track: str, block: Mapping[str, Any], cost: Mapping[str, Any]) -> Iterator[str]:
    if block["fresh_head"]:
        yield f"{track}: `before` is an untrained head: its row is chance, not a model that anyone would use."
    yield _speed(track, cost["teacher"], cost["student"])
    guard = block["guard"]
    if len(guard["points"]) > 1:
        kept = next(point for point in guard["points"] if point["alpha"] == guard["alpha"])
        yield (
            f"{track}: the student is {guard['alpha']:g} of the way from before to after training, as dev splits say: "
            f"MAP on the guard set {guard['dataset']} {guard['points'][0]['guard']:.4f} → {kept['guard']:.4f}."
        )
    baseline = block["baseline"]
    if baseline:
        same = [name for name in ("teacher", "student") if baseline[f"is_{name}"]]
        roles = {"teacher": "the teacher too", "student": "what the student is made of"}
        if same:
            yield f"{track}: the untouched model ({baseline['model']}) is {' and '.join(roles[name] for name in same)}."


def _speed(track: str, teacher: Mapping[str, Any], student: Mapping[str, Any]) -> str:
    if teacher["pairs_per_second"] is None:
        return f"{track}: the teacher never ran here (its scores were there already): its speed is not known."
    ratio = student["pairs_per_second"] / teacher["pairs_per_second"]
    size = ""
    if teacher["parameters"]:
        size = f", with {percent(student['parameters'] / teacher['parameters'], digits=0)} of its parameters"
    return (
        f"{track}: the student reranks {'faster' if ratio >= 1 else 'slower'} than its teacher, "
        f"at {ratio:.2f} times its speed{size}."
    )


def _set_notes(place: str, values: Mapping[str, Any], resamples: int, free: Collection[str]) -> Iterator[str]:
    change = values["change"]
    if change["mean"] < 0:
        yield f"{place}: MAP fell by {-change['mean']:.4f} ({_significance(change, resamples)})."
    if values["after"] < values.get("teacher", 0):
        also = "" if "baseline" in free else ", which is the untouched model"
        yield f"{place}: the student stays {values['teacher'] - values['after']:.4f} MAP below its teacher{also}."
    for name, words in FREE.items():
        over = values.get(f"over_{name}")
        if name in free and over and over["mean"] < 0:
            tested = _significance(over, resamples)
            yield f"{place}: the student stays {-over['mean']:.4f} MAP below {words}, which is free ({tested})."


def _significance(difference: Mapping[str, float], resamples: int) -> str:
    tested = "significant" if difference["p_value"] < 0.05 else "not significant"
    return f"{tested}, p {p_value(difference['p_value'], resamples)}"
