"""The sentences with which the page opens: what was distilled, what was gained, and what it cost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from decant.report.comparison import ComparedSet, compared_sets
from decant.report.figures import millions, percent
from decant.report.ranked import RankedSet
from decant.report.seeds import paired_difference
from decant.report.settings import ReportSettings


def opening(
    comparison: Mapping[str, Any],
    cost: Mapping[str, Any],
    models: Mapping[str, Mapping[str, str]],
    ranked: Sequence[RankedSet],
    settings: ReportSettings,
    seed: int,
) -> dict[str, list[str]]:
    """Three sentences for each track; none calls a difference one that its test does not show.

    Args:
        comparison: the content of metrics/comparison.json.
        cost: the content of metrics/cost.json.
        models: track → `teacher` and `student` → the name of the model.
        ranked: the test sets, query by query.
        settings: of the tests; the difference from the teacher, which stands in no table, is tested here.
        seed: of their resamples.
    """
    sets = {track: [of for of in compared_sets(comparison) if of.track == track] for track in comparison}
    above = {(of.track, of.dataset): _versus_teacher(of, settings, seed) for of in ranked}
    return {
        track: [
            _distilled(cost[track], models[track], block, sets[track]),
            *_gained(block, sets[track], above),
            _cost(cost[track]),
        ]
        for track, block in comparison.items()
    }


def _distilled(
    cost: Mapping[str, Any],
    models: Mapping[str, str],
    block: Mapping[str, Any],
    sets: Sequence[ComparedSet],
) -> str:
    teacher, student = (
        models[name] + (f" ({millions(count, 'M', 1)} parameters)" if (count := cost[name]["parameters"]) else "")
        for name in ("teacher", "student")
    )
    head = ", whose head was drawn anew," if block["fresh_head"] else ""
    return f"{teacher} was distilled into {student}{head} for {' and '.join(of.dataset for of in sets[:1])}."


def _gained(
    block: Mapping[str, Any], sets: Sequence[ComparedSet], above: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    for of in sets:
        if (of.track, of.dataset) not in above:  # a part of a set, or shortened embeddings: the tables have them
            continue
        values = of.entry["map"]
        change, significant = values["change"], values["change"]["p_holm"] < 1 - block["confidence"]
        way = "rose" if change["mean"] > 0 else "fell"
        moved = f"MAP {way} from {values['before']:.4f} to {values['after']:.4f}"
        if not significant:
            moved = f"MAP went from {values['before']:.4f} to {values['after']:.4f}, which is no significant change"
        where = (
            f"On {of.dataset}, its own domain," if of.domain == "in-domain" else f"On {of.dataset}, which it never saw,"
        )
        yield f"{where} {moved}; {above[of.track, of.dataset]}."


def _versus_teacher(of: RankedSet, settings: ReportSettings, seed: int) -> str:
    difference = paired_difference(of.precision["after"], of.precision["teacher"], settings, seed)
    shown = f"{of.precision['teacher'].mean():.4f}"
    if difference.p_value >= 1 - settings.confidence:
        return f"no significant difference from its teacher's {shown}"
    return f"that is {'above' if difference.mean > 0 else 'below'} its teacher's {shown}"


def _cost(cost: Mapping[str, Any]) -> str:
    teacher, student, speed = cost["teacher"]["parameters"], cost["student"]["parameters"], cost["speed"]
    size = f"has {percent(student / teacher, digits=0)} of its teacher's parameters" if teacher else "is small"
    seconds = cost["training_seconds"]
    trained = f"Training took {seconds:.0f} s" if seconds else "It was not trained"
    faster = f" and {speed['ratio']['median']:.2f} times its speed here" if speed["measured"] else ""
    return f"{trained}; the student {size}{faster}."
