"""What a reader of the tables would otherwise overlook: losses, free baselines, a slow student, an untrained start."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from decant.report.comparison import ComparedSet, changes_shown, compared_sets, shown_models
from decant.report.figures import p_value, percent, spread
from decant.report.needed import needed_notes

FREE = {"baseline": "the untouched model", "bm25": "BM25"}  # baselines that take no training
CUT = 0.01  # the share of a split's texts that a model may cut without a note


def notes(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> list[str]:
    """Plain sentences, from metrics/comparison.json and metrics/cost.json."""
    sentences = [note for track, block in comparison.items() for note in _track_notes(track, block, cost[track])]
    sentences += _shortened(comparison)
    for compared in compared_sets(comparison):
        sentences += _set_notes(compared, comparison[compared.track], changes_shown(comparison))
    if "labels_only" not in shown_models(comparison):
        sentences.append(
            "No labels-only student was trained (`baselines.labels_only` is off): "
            "what the teacher adds to the labels is not shown."
        )
    sentences.append(
        "Intervals and p-values are over queries, of this checkpoint, one seed: another training seed may do better or "
        "worse. `decant compare` compares several seeds."
    )
    return sentences


def _track_notes(track: str, block: Mapping[str, Any], cost: Mapping[str, Any]) -> Iterator[str]:
    if block["fresh_head"]:
        yield f"{track}: `before` is an untrained head: its row is chance, not a model that anyone would use."
    yield _speed(track, cost)
    yield from _left_out(track, block.get("left_out", {}))
    yield from _cut(track, block.get("cut", ()))
    yield from needed_notes(track, block.get("needed", {}))
    guard = block["guard"]
    if len(guard["points"]) > 1:
        kept = next(point for point in guard["points"] if point["alpha"] == guard["alpha"])
        between = "between those before and after training"
        place = {0: "those before training", 1: "those after training"}.get(guard["alpha"], between)
        yield (
            f"{track}: the kept weights are {place} (α = {guard['alpha']:g}), chosen on dev splits: "
            f"MAP on the guard set {guard['dataset']} {guard['points'][0]['guard']:.4f} → {kept['guard']:.4f}."
        )
    roles = {"is_teacher": "the teacher too", "is_student": "what the student is made of"}
    if (baseline := block["baseline"]) and (same := [words for role, words in roles.items() if baseline[role]]):
        yield f"{track}: the untouched model ({baseline['model']}) is {' and '.join(same)}."


def _shortened(comparison: Mapping[str, Any]) -> Iterator[str]:
    """What `decant.evaluate.run.Run.named` means by an @, which no data set has in its name."""
    names = (compared.dataset for compared in compared_sets(comparison))
    if (short := next((name for name in names if "@" in name), None)) is not None:
        numbers = short.partition("@")[2]
        yield (
            f"{short} is that set again, with the student's embeddings shortened to their first {numbers} numbers, "
            "before and after; other rows with an @ likewise."
        )


def _left_out(track: str, sets: Mapping[str, Any]) -> Iterator[str]:
    for dataset, splits in sets.items():
        for split, counts in splits.items():
            kinds = {kind.replace("_", " "): count for kind, count in counts["faults"].items()} | counts["not_judged"]
            yield (
                f"{track}: of {dataset}, {split}, {counts['rows_left_out']} rows and {counts['texts_left_out']} "
                f"candidates are left out ({', '.join(f'{kind}: {count}' for kind, count in kinds.items())})."
            )


def _cut(track: str, counts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for count in counts:
        if count["share"] > CUT:
            yield (
                f"{track}: the {count['model']} cuts {percent(count['share'])} of the {count['distinct']} distinct "
                f"{count['what']} of {count['dataset']}, {count['split']}: they are longer than its `max_length`."
            )


def _speed(track: str, cost: Mapping[str, Any]) -> str:
    speed, teacher, student = cost["speed"], cost["teacher"]["parameters"], cost["student"]["parameters"]
    if not speed["measured"]:
        return f"{track}: no speed is shown: {speed['reason']}."
    size = f", with {percent(student / teacher, digits=0)} of its parameters" if teacher else ""
    return (
        f"{track}: the student reranks {'faster' if speed['ratio']['median'] >= 1 else 'slower'} than its teacher, "
        f"at {spread(speed['ratio'], 2)} times its speed, timed in turns in {speed['rounds']} rounds{size}."
    )


def _set_notes(compared: ComparedSet, block: Mapping[str, Any], tests: int) -> Iterator[str]:
    place, values = f"{compared.track}, {compared.domain} ({compared.dataset})", compared.entry["map"]
    change, allowed = values["change"], block["guard"]["max_loss"]
    is_teacher = block["baseline"] is not None and block["baseline"]["is_teacher"]
    if change["mean"] < 0:
        yield f"{place}: MAP fell by {-change['mean']:.4f} ({_significance(change, block, tests)})."
    if values["after"] < values.get("teacher", 0):
        also = ", which is the untouched model" if is_teacher else ""
        tested = _significance(values["over_teacher"], block, tests)
        below = values["teacher"] - values["after"]
        yield f"{place}: the student stays {below:.4f} MAP below its teacher{also} ({tested})."
    for name, words in FREE.items():
        over = values.get(f"over_{name}")
        if over and over["mean"] < 0 and not (name == "baseline" and is_teacher):  # the teacher's line says it
            tested = _significance(over, block, tests)
            yield f"{place}: the student stays {-over['mean']:.4f} MAP below {words}, which is free ({tested})."
    if compared.domain == "out-of-domain" and -change["mean"] > allowed:
        yield f"{place}: that is more than the {allowed:g} that train.max_loss allows on the guard set."


def _significance(difference: Mapping[str, float], block: Mapping[str, Any], tests: int) -> str:
    """Whether a difference is significant at 1 − confidence, by its adjusted p-value where it has one."""
    name, value, count = "p", difference["p_value"], 1
    if "p_holm" in difference:
        name, value, count = "p (Holm)", difference["p_holm"], tests
    tested = "significant" if value < 1 - block["confidence"] else "not significant"
    return f"{tested}, {name} {p_value(value, block['resamples'], count)}"
