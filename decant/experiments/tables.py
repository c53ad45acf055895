"""The tables of docs/ablations.md: what each cell reaches, and how it differs from the whole recipe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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

ReadQueries = Callable[[Result], Mapping[str, Queries]]


@dataclass(frozen=True)
class _Row:
    """One cell: what its seeds came to.

    Args:
        name: of the cell.
        results: seed → its result, failed ones included.
        queries: seed → domain → values, of the seeds that did not fail.
    """

    name: str
    results: Mapping[int, Result]
    queries: Mapping[int, Mapping[str, Queries]]


def render(
    grid: Grid,
    results: Sequence[Result],
    digests: Mapping[str, str],
    read: ReadQueries,
    settings: ReportSettings,
    seed: int,
) -> str:
    """The table of each track, and its notes, as Markdown.

    Args:
        grid: the cells.
        results: of any of them.
        digests: of each cell's params; results of other params are not shown.
        read: finds the values of a result's queries.
        settings: of tests and intervals.
        seed: of their resamples.

    Raises:
        DecantError: seeds of one cell were tested on different splits.
    """
    shown = current(grid, results, digests)
    tracks = dict.fromkeys(cell.track for cell in grid.cells.values())
    return "\n\n".join(_track(grid, track, shown, read, settings, seed) for track in tracks) + "\n"


def between_marks(page: str, content: str, grid: str, name: str) -> str:
    """The page with `content` between the two marks of a grid.

    Args:
        page: with marks of this grid, and maybe of others.
        content: that is to stand there.
        grid: its name.
        name: of the page, for messages.

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


def _track(
    grid: Grid,
    track: str,
    results: Mapping[tuple[str, int], Result],
    read: ReadQueries,
    settings: ReportSettings,
    seed: int,
) -> str:
    rows = [_row(name, grid.seeds, results, read) for name in grid.of_track(track)]
    whole = rows[0]
    differences = {
        (row.name, domain): difference
        for row in rows[1:]
        for domain in DOMAINS
        if (difference := _difference(row, whole, domain, settings, seed)) is not None
    }
    adjusted = dict(zip(differences, holm([change.p_value for change in differences.values()]), strict=True))
    lines = []
    for row in rows:
        seconds = [result.seconds for result in row.results.values() if result.seconds is not None]
        compared = []
        for domain in DOMAINS:
            difference = differences.get((row.name, domain))
            p = NOTHING
            if difference is not None:
                p = p_value(adjusted[row.name, domain], settings.resamples, len(adjusted))
            compared += [NOTHING if difference is None else _written(difference, len(row.queries)), p]
        lines.append(
            [
                row.name,
                grid.cells[row.name].says,
                _seeds(row, grid.seeds),
                *(write(row, domain, settings, seed) for domain in DOMAINS for write in (_mean, _over_teacher)),
                *compared,
                f"{np.mean(seconds):.0f} s" if seconds else NOTHING,
            ]
        )
    sure = percent(settings.confidence, digits=0)
    domains = [domain.replace("_", "-") for domain in DOMAINS]
    headers = ["cell", "what it shows", "seeds"]
    for domain in domains:
        headers += [f"{domain} MAP ({sure})", f"{domain}, × the teacher's ({sure})"]
    for domain in domains:
        headers += [f"{domain}, cell − {whole.name} ({sure})", "p (Holm)"]
    parts = [f"### {track}", table([*headers, "training"], lines)]
    notes = _notes(rows, list(differences.values()))
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)] if notes else parts)


def _row(name: str, seeds: Sequence[int], results: Mapping[tuple[str, int], Result], read: ReadQueries) -> _Row:
    of_cell = {seed: results[name, seed] for seed in seeds if (name, seed) in results}
    queries = {seed: read(result) for seed, result in of_cell.items() if not result.fault}
    for domain in DOMAINS:
        if len({of_seed[domain].split for of_seed in queries.values() if domain in of_seed}) > 1:
            raise DecantError(
                f"{name}: its seeds were tested on different {domain.replace('_', '-')} test splits",
                f"remove the rows of {name} from the results, and run it again",
            )
    return _Row(name, of_cell, queries)


def _values(row: _Row, domain: str, seeds: Sequence[int]) -> Values | None:
    """Shape (seeds, queries); None where a seed has no such set, or there is no seed."""
    values = [row.queries[seed][domain].values for seed in seeds if domain in row.queries[seed]]
    return np.stack(values) if values and len(values) == len(seeds) else None


def _mean(row: _Row, domain: str, settings: ReportSettings, seed: int) -> str:
    values = _values(row, domain, list(row.queries))
    if values is None:
        return NOTHING
    mean = aggregate(values, settings, seed)
    return f"{mean.mean:.4f} ({mean.low:.4f} … {mean.high:.4f})"


def _over_teacher(row: _Row, domain: str, settings: ReportSettings, seed: int) -> str:
    values = _values(row, domain, list(row.queries))
    if values is None:
        return NOTHING
    times = ratio(values, next(iter(row.queries.values()))[domain].teacher, settings, seed)
    return f"{times.mean:.3f} ({times.low:.3f} … {times.high:.3f})"


def _difference(row: _Row, whole: _Row, domain: str, settings: ReportSettings, seed: int) -> SeedDifference | None:
    """A cell minus the whole recipe, over the seeds that both have; None where nothing can be paired."""
    seeds = [number for number in row.queries if number in whole.queries]
    cell, recipe = (_values(side, domain, seeds) for side in (row, whole))
    if cell is None or recipe is None or not _same_split(row, whole, domain, seeds[0]):
        return None
    return seed_difference(cell, recipe, settings, seed)


def _same_split(row: _Row, whole: _Row, domain: str, seed: int) -> bool:
    return row.queries[seed][domain].split == whole.queries[seed][domain].split


def _written(difference: SeedDifference, seeds: int) -> str:
    """The difference, and of how many seeds where those of the row are more."""
    paired = f", {difference.seeds} of its seeds" if difference.seeds < seeds else ""
    return f"{interval(difference.mean, difference.low, difference.high)}{paired}"


def _seeds(row: _Row, seeds: Sequence[int]) -> str:
    """How many seeds are behind a row, and what became of the others."""
    failed = sum(bool(result.fault) for result in row.results.values())
    missing = len(seeds) - len(row.results)
    ran = f"{len(row.queries)} of {len(seeds)}" if failed or missing else str(len(seeds))
    return ", ".join([ran, *([f"{failed} failed"] if failed else []), *([f"{missing} not run"] if missing else [])])


def _notes(rows: Sequence[_Row], differences: Sequence[SeedDifference]) -> list[str]:
    notes = []
    if len(differences) > 1:
        notes.append(f"p (Holm) is adjusted for the {len(differences)} differences of this table; intervals are not.")
    if 1 in [*(len(row.queries) for row in rows), *(difference.seeds for difference in differences)]:
        notes.append("Where one seed is behind a figure, its interval is over queries alone.")
    notes += [
        f"{row.name}, seed {seed} failed: {result.fault}"
        for row in rows
        for seed, result in row.results.items()
        if result.fault
    ]
    revisions = list(dict.fromkeys(result.revision for row in rows for result in row.results.values()))
    return [*notes, f"Run at {', '.join(revisions)}."] if revisions else notes
