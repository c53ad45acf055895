"""The tables of a grid: what each cell reaches, and how it differs from the whole recipe."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from decant.errors import DecantError
from decant.evaluate.run import DOMAINS
from decant.experiments.grids import Grid
from decant.experiments.results import Queries, Result, current
from decant.report.figures import interval, p_value, percent
from decant.report.seeds import SeedDifference, aggregate, ratio, seed_difference
from decant.report.settings import ReportSettings
from decant.report.statistics import Values, holm
from decant.report.table import table

NOTHING = "–"

Reader = Callable[[Result], Mapping[str, Queries]]


@dataclass(frozen=True)
class _Row:
    """One cell: the result of each seed, and each domain's values of those that did not fail."""

    name: str
    results: Mapping[int, Result]
    queries: Mapping[int, Mapping[str, Queries]]

    def values(self, domain: str, seeds: Collection[int]) -> Values | None:
        """Shape (seeds, queries); None where a seed has no such set, or there is no seed."""
        values = [self.queries[seed][domain].values for seed in seeds if domain in self.queries[seed]]
        return np.stack(values) if values and len(values) == len(seeds) else None


class Tabulated(NamedTuple):
    """A track's table, and the notes below it."""

    headers: list[str]
    rows: list[list[str]]
    notes: list[str]


def tabulate(
    grid: Grid, results: Sequence[Result], digests: Mapping[str, str], read: Reader, settings: ReportSettings, seed: int
) -> dict[str, Tabulated]:
    """The table of each track.

    Results of other params than those of `digests` are not shown. `read` finds the values of a result's queries.

    Raises:
        DecantError: seeds of one cell were tested on different splits.
    """
    shown = current(grid, results, digests)
    tables = {}
    for track in dict.fromkeys(cell.track for cell in grid.cells.values()):
        rows = [_row(name, grid.seeds, shown, read) for name in grid.of_track(track)]
        tables[track] = _table(grid, rows, settings, seed)
    return tables


def render(tables: Mapping[str, Tabulated]) -> str:
    """The tables as Markdown, for docs/ablations.md."""
    parts = []
    for track, of in tables.items():
        parts += [f"### {track}", table(of.headers, of.rows), "\n".join(f"- {note}" for note in of.notes)]
    return "\n\n".join(filter(None, parts)) + "\n"


def between_marks(page: str, content: str, grid: str, name: str) -> str:
    """The page of this name with `content` between the two marks of a grid; it may have marks of other grids.

    Raises:
        DecantError: a mark is missing.
    """
    first = f"<!-- {grid}: of ablations/{grid}.csv, by decant ablate --grid {grid} --render -->\n"
    last = f"<!-- end of {grid} -->"
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise DecantError(
            f"{name}: the lines {first.strip()} and {last} are not both there", "put them where the tables belong"
        )
    return f"{before}{first}\n{content}\n{last}{after}"


def _row(name: str, seeds: Sequence[int], results: Mapping[tuple[str, int], Result], read: Reader) -> _Row:
    of_cell = {seed: results[name, seed] for seed in seeds if (name, seed) in results}
    queries = {seed: read(result) for seed, result in of_cell.items() if not result.fault}
    for domain in DOMAINS:
        if len({of_seed[domain].split for of_seed in queries.values() if domain in of_seed}) > 1:
            raise DecantError(
                f"{name}: its seeds were tested on different {domain.replace('_', '-')} test splits",
                f"remove the rows of {name} from the results, and run it again",
            )
    return _Row(name, of_cell, queries)


def _table(grid: Grid, rows: Sequence[_Row], settings: ReportSettings, seed: int) -> Tabulated:
    """A track's table; the first row is that of the whole recipe."""
    whole, *others = rows
    pairs = {
        (row.name, domain): _difference(row, whole, domain, settings, seed) for row in others for domain in DOMAINS
    }
    differences = {place: difference for place, difference in pairs.items() if difference is not None}
    adjusted = dict(zip(differences, holm([change.p_value for change in differences.values()]), strict=True))

    def compared(row: _Row, domain: str) -> tuple[str, str]:
        change = differences.get((row.name, domain))
        if change is None:
            return NOTHING, NOTHING
        fewer = f", {change.seeds} of its seeds" if change.seeds < len(row.queries) else ""
        p = p_value(adjusted[row.name, domain], settings.resamples, len(adjusted))
        return interval(change.mean, change.low, change.high) + fewer, p

    lines = [
        [
            row.name,
            grid.cells[row.name].says,
            _seeds(row, grid.seeds),
            *(figure for domain in DOMAINS for figure in _reached(row, domain, settings, seed)),
            *(figure for domain in DOMAINS for figure in compared(row, domain)),
            _training(row),
        ]
        for row in rows
    ]
    sure = percent(settings.confidence, digits=0)
    headers = ["cell", "what it shows", "seeds"]
    domains = [domain.replace("_", "-") for domain in DOMAINS]
    for domain in domains:
        headers += [f"{domain} MAP ({sure})", f"{domain}, × the teacher's ({sure})"]
    for domain in domains:
        headers += [f"{domain}, cell − {whole.name} ({sure})", "p (Holm)"]
    return Tabulated([*headers, "training"], lines, _notes(rows, list(differences.values())))


def _difference(row: _Row, whole: _Row, domain: str, settings: ReportSettings, seed: int) -> SeedDifference | None:
    """A cell minus the whole recipe, over the seeds that both have; None where nothing can be paired."""
    seeds = [number for number in row.queries if number in whole.queries]
    cell, recipe = (side.values(domain, seeds) for side in (row, whole))
    if cell is None or recipe is None:
        return None
    splits = {side.queries[seeds[0]][domain].split for side in (row, whole)}
    return seed_difference(cell, recipe, settings, seed) if len(splits) == 1 else None


def _reached(row: _Row, domain: str, settings: ReportSettings, seed: int) -> list[str]:
    """MAP, and how many times the teacher's it is."""
    values = row.values(domain, row.queries)
    if values is None:
        return [NOTHING, NOTHING]
    teacher = next(iter(row.queries.values()))[domain].teacher
    figures = (aggregate(values, settings, seed), 4), (ratio(values, teacher, settings, seed), 3)
    return [f"{it.mean:.{digits}f} ({it.low:.{digits}f} … {it.high:.{digits}f})" for it, digits in figures]


def _training(row: _Row) -> str:
    seconds = [result.seconds for result in row.results.values() if result.seconds is not None]
    return f"{np.mean(seconds):.0f} s" if seconds else NOTHING


def _seeds(row: _Row, seeds: Sequence[int]) -> str:
    """How many seeds are behind a row, and what became of the others."""
    failed, missing = len(row.results) - len(row.queries), len(seeds) - len(row.results)
    ran = f"{len(row.queries)} of {len(seeds)}" if failed or missing else str(len(seeds))
    return ", ".join([ran, *([f"{failed} failed"] if failed else []), *([f"{missing} not run"] if missing else [])])


def _notes(rows: Sequence[_Row], differences: Sequence[SeedDifference]) -> list[str]:
    notes = []
    if len(differences) > 1:
        notes.append(f"p (Holm) is adjusted for the {len(differences)} differences of this table; intervals are not.")
    if 1 in [*(len(row.queries) for row in rows), *(difference.seeds for difference in differences)]:
        notes.append("Where one seed is behind a figure, its interval is over queries alone.")
    results = [(f"{row.name}, seed {seed}", result) for row in rows for seed, result in row.results.items()]
    notes += [f"{place} failed: {result.fault}" for place, result in results if result.fault]
    revisions = dict.fromkeys(result.revision for _, result in results)
    return [*notes, f"Run at {', '.join(revisions)}."] if revisions else notes
