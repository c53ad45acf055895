"""Compare the checkpoints of any two revisions query by query, in-domain and out-of-domain."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from decant.errors import DecantError
from decant.evaluate.metrics import METRICS
from decant.evaluate.run import DOMAINS
from decant.experiments.revisions import Revision, TestRun
from decant.params import Params
from decant.report.comparison import NAMES, won_lost_tied
from decant.report.figures import interval, p_value, percent
from decant.report.seeds import SeedDifference, seed_difference
from decant.report.settings import ReportSettings
from decant.report.statistics import Values, holm
from decant.report.table import table


class Compared(NamedTuple):
    """One row: two models on one test set, by one metric; values of the shape (seeds, queries)."""

    place: list[str]
    first: Values
    second: Values
    difference: SeedDifference


class Comparison(NamedTuple):
    """The table of two sides, its title, and its notes."""

    title: str
    headers: list[str]
    rows: list[list[str]]
    notes: list[str]

    def markdown(self) -> str:
        """All of it as Markdown."""
        listed = "\n".join(f"- {note}" for note in self.notes)
        return f"{self.title}\n\n{table(self.headers, self.rows)}\n\n{listed}"


def compare_revisions(
    first: str, second: str, tracks: Sequence[str], model: str, metrics: Sequence[str], params: Params
) -> Comparison:
    """Compare two sides; the difference is the second minus the first.

    Args:
        first: a revision (a commit, a tag, a branch, a `dvc exp` name, or `workspace`), or several seeds' revisions of
            one method, joined by commas.
        second: likewise, as many; seeds are paired by their place.
        tracks: to compare.
        model: one of `NAMES`.
        metrics: some of `METRICS`.
        params: of the workspace, for the settings of the tests.

    Raises:
        DecantError: a revision, or its run, is not there, or the test splits differ.
    """
    sides = [[name.strip() for name in side.split(",")] for side in (first, second)]
    if len(sides[0]) != len(sides[1]) or not all(name for side in sides for name in side):
        raise DecantError(
            f"{first} and {second}: {len(sides[0])} and {len(sides[1])} revisions",
            "name as many seeds of the one as of the other, in the same order, joined by commas without spaces",
        )
    revisions = {name: Revision(name) for name in dict.fromkeys(sides[0] + sides[1])}
    rows: list[Compared] = []
    missing: list[str] = []
    for track in tracks:
        runs = {name: revision.runs(track, model) for name, revision in revisions.items()}
        for domain in DOMAINS:
            lacking = [name for name in runs if domain not in runs[name]]
            if lacking:
                missing.append(f"{track}: {', '.join(lacking)} has no {domain.replace('_', '-')} set; left out.")
                continue
            ranked = [[runs[name][domain] for name in side] for side in sides]
            _check_split(f"{track}, {domain.replace('_', '-')}", ranked[0] + ranked[1], revisions)
            rows += [_compare(track, domain, metric, ranked, params) for metric in metrics]
    if not rows:
        raise DecantError("there is no test set that all revisions have", "; ".join(missing))
    title = f"{NAMES[model]}: {first} (first) and {second} (second)"
    return Comparison(title, *_table(rows, params.report), [*_notes(rows), *missing])


def _check_split(place: str, runs: Sequence[TestRun], revisions: dict[str, Revision]) -> None:
    """Make sure that all runs ranked the same candidates of the same queries, in the same order."""
    first = runs[0]
    for other in runs[1:]:
        if wrong := _difference(first, other, revisions):
            raise DecantError(
                f"{place}: the test split of {first.dataset} at {first.revision} is not that of {other.dataset} at "
                f"{other.revision}: {wrong}",
                "compare revisions with the same test split: `decant evaluate --model PATH --dataset NAME` "
                "evaluates a checkpoint on the set of the workspace",
            )


def _difference(first: TestRun, other: TestRun, revisions: dict[str, Revision]) -> str | None:
    """How the test splits of two runs differ; None where they are the same."""
    if len(first.queries) != len(other.queries):
        return f"{len(first.queries)} and {len(other.queries)} queries"
    if differing := [pair for pair in zip(first.queries, other.queries, strict=True) if pair[0] != pair[1]]:
        here, there = (query[:60] for query in differing[0])
        return f"{len(differing)} queries differ, the first of them {here!r} and {there!r}"
    if first.labels != other.labels:
        return "the same queries with other labels"
    if first.gains != other.gains:
        return "the same queries with other grades"
    if first.split is None or first.split != other.split:
        rows, others = (revisions[run.revision].test_rows(run.dataset) for run in (first, other))
        return None if rows == others else "the same queries with other candidates"
    return None


def _compare(track: str, domain: str, metric: str, ranked: Sequence[Sequence[TestRun]], params: Params) -> Compared:
    first, second = (np.stack([run.metrics[metric] for run in side]) for side in ranked)
    place = [track, f"{ranked[0][0].dataset}, {domain.replace('_', '-')}", METRICS[metric].label]
    return Compared(place, first, second, seed_difference(second, first, params.report, params.seed))


def _table(rows: Sequence[Compared], settings: ReportSettings) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows."""
    lines = []
    for row, p_holm in zip(rows, holm([row.difference.p_value for row in rows]), strict=True):
        change = row.difference
        lines.append(
            [
                *row.place,
                *(_mean(values) for values in (row.first, row.second)),
                interval(change.mean, change.low, change.high),
                *([] if change.seed_deviation is None else [f"{change.seed_deviation:.4f}"]),
                p_value(change.p_value, settings.resamples),
                p_value(p_holm, settings.resamples, len(rows)),
                " / ".join(map(str, won_lost_tied((row.second - row.first).mean(axis=0)))),
            ]
        )
    difference = f"second − first ({percent(settings.confidence, digits=0)} interval)"
    seeds = ["sd of seeds"] if rows[0].difference.seeds > 1 else []
    won = "won / lost / tied"
    return ["track", "test set", "metric", "first", "second", difference, *seeds, "p", "p (Holm)", won], lines


def _mean(values: Values) -> str:
    """The mean over seeds and queries, and the standard deviation between the seeds' means."""
    means = values.mean(axis=1)
    return f"{means.mean():.4f}" + (f" ± {means.std(ddof=1):.4f}" if len(means) > 1 else "")


def _notes(rows: Sequence[Compared]) -> list[str]:
    seeds, tests = rows[0].difference.seeds, len(rows)
    shown = f"p (Holm) is adjusted for the {tests} rows shown." if tests > 1 else "One row is shown: nothing to adjust."
    claim = (
        f"{seeds} seeds a side, paired by their place. The interval is over seeds and queries, of the methods; p is "
        "over queries, of the mean of these seeds. Claim a difference of the methods only where the interval "
        "excludes 0."
    )
    if seeds == 1:
        claim = (
            "This checkpoint, one seed, against that checkpoint, one seed: interval and p are over queries, and claim "
            "nothing of the methods under other training seeds."
        )
    return [claim, shown]
