"""The tables that stand behind the comparison, where there is anything to put into them."""

from collections.abc import Mapping
from typing import Any

from decant.report.cards import sets_table, splits_table
from decant.report.corpora import CORPORA_NOTES, corpora_tables
from decant.report.exported import exported_table
from decant.report.figures import percent
from decant.report.needed import needed_table

MATCHES, EXPORTED, NEEDED = "No good match", "Exported", "How many queries are needed"
COST = "Cost"
SETS, SPLITS = "Data sets", "Their splits"
FURTHER_NOTES = {
    **CORPORA_NOTES,
    MATCHES: (
        "The best candidate is shown where it reaches a score that was chosen on the in-domain dev split. The "
        "model card has it, and what it says of probabilities. Each test query is asked twice, as it is, and with its "
        "positives taken away, when nothing should be shown: half of what is asked has no match. Precision is over all "
        "that is shown, recall over the queries with a positive."
    ),
    EXPORTED: (
        "The student in other runtimes, beside itself in PyTorch. MAP and its loss are of the in-domain dev split, on "
        "which a format is kept or refused; @ is of embeddings shortened to so many numbers; size is of the weights. "
        "Speed: about 500 pairs of that split in turns, in one process, on this machine's CPU; the median of several "
        "rounds, and its ratio to the student's."
    ),
    COST: (
        "What the teacher has read into the score store so far, for this run and earlier ones, and how long its "
        "engines were busy with it. Training is the student's."
    ),
    SETS: "As the cards in data/sets/ say, which have more.",
    SPLITS: (
        "Left out: rows and texts with faults, where faults: drop says so. Near "
        "duplicates: negatives that almost repeat a positive of their query, which are kept. SHA-256 is of the split, "
        "its first digits. What splits share stands under the texts that splits share."
    ),
    NEEDED: (
        "Students trained on a part of the train queries, by `decant curve`. Interval: over seeds and queries; of one "
        "seed over queries."
    ),
}


def further_tables(
    comparison: Mapping[str, Any], cost: Mapping[str, Any]
) -> dict[str, tuple[list[str], list[list[str]]]]:
    """The tables by their titles, headers and rows each, from metrics/comparison.json and metrics/cost.json."""
    return {
        **corpora_tables(comparison, cost),
        MATCHES: matches_table(comparison),
        EXPORTED: exported_table(comparison, cost),
        NEEDED: needed_table(comparison),
        COST: cost_table(cost),
        SETS: sets_table(comparison),
        SPLITS: splits_table(comparison),
    }


def cost_table(cost: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows of what was computed, from metrics/cost.json; no rows where no engine has counted."""
    rows = []
    for track, of in cost.items():
        for engine, figures in of.get("scoring", {}).items():
            read = [f"{figures[name]:,.0f}" for name in ("prompts", "tokens")]
            rows.append([track, f"teacher's scores, {engine}", *read, f"{figures['seconds']:,.0f} s"])
        if "scoring" in of:
            rows.append([track, "training", "–", "–", f"{of['training_seconds']:,.0f} s"])
    return ["track", "what", "texts or pairs", "tokens", "time"], rows


def matches_table(comparison: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows of what the students' thresholds get right, from metrics/comparison.json."""
    rows = [
        [
            track,
            f"{dataset}, {domain.replace('_', '-')}",
            f"{of_set['score']:.4g}",
            *(percent(of_set[name]) for name in ("match_precision", "match_recall", "shown_without_match")),
        ]
        for track, block in comparison.items()
        for domain, sets in block.get("matches", {}).items()
        for dataset, of_set in sets.items()
    ]
    return ["track", "test set", "threshold", "precision", "recall", "shown without a match"], rows
