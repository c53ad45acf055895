"""The tables of docs/ablations.md: what each cell reaches, and how it differs from the whole recipe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from decant.errors import DecantError
from decant.evaluate.run import DOMAINS
from decant.experiments.grids import Grid
from decant.experiments.results import Queries, Result, current
from decant.report.comparison import TestSettings
from decant.report.figures import p_value, percent, signed
from decant.report.seeds import SeedDifference, aggregate, ratio, seed_difference
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
    settings: TestSettings,
) -> str:
    """The table of each track, and its notes, as Markdown.

    Args:
        grid: the cells.
        results: of any of them.
        digests: of each cell's params; results of other params are not shown.
        read: finds the values of a result's queries.
        settings: of the tests and intervals.

    Raises:
        DecantError: seeds of one cell were tested on different splits.
    """
    found = current(grid, results, digests)
    tracks = dict.fromkeys(cell.track for cell in grid.cells.values())
    return "\n\n".join(_track(grid, track, found, read, settings) for track in tracks) + "\n"


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
    first = (
        f"<!-- {grid}: of ablations/{grid}.csv, by python -m decant.experiments.ablations --grid {grid} --render -->\n"
    )
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
    found: Mapping[tuple[str, int], Result],
    read: ReadQueries,
    settings: TestSettings,
) -> str:
    rows = [_row(name, grid.seeds, found, read) for name in grid.of_track(track)]
    whole = rows[0]
    differences = {
        (row.name, domain): difference
        for row in rows[1:]
        for domain in DOMAINS
        if (difference := _difference(row, whole, domain, settings)) is not None
    }
    adjusted = dict(zip(differences, holm([one.p_value for one in differences.values()]), strict=True))
    lines = []
    for row in rows:
        seconds = [result.seconds for result in row.results.values() if result.seconds is not None]
        compared = []
        for domain in DOMAINS:
            difference = differences.get((row.name, domain))
            p = NOTHING
            if difference is not None:
                p = p_value(adjusted[row.name, domain], settings.resamples, len(adjusted))
            compared += [NOTHING if difference is None else _told(difference, len(row.queries)), p]
        lines.append(
            [
                row.name,
                grid.cells[row.name].says,
                _seeds(row, grid.seeds),
                *(write(row, domain, settings) for domain in DOMAINS for write in (_mean, _over_teacher)),
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


def _row(name: str, seeds: Sequence[int], found: Mapping[tuple[str, int], Result], read: ReadQueries) -> _Row:
    results = {seed: found[name, seed] for seed in seeds if (name, seed) in found}
    queries = {seed: read(result) for seed, result in results.items() if not result.fault}
    for domain in DOMAINS:
        if len({one[domain].split for one in queries.values() if domain in one}) > 1:
            raise DecantError(
                f"{name}: its seeds were tested on different {domain.replace('_', '-')} test splits",
                f"remove the rows of {name} from the results, and run it again",
            )
    return _Row(name, results, queries)


def _values(row: _Row, domain: str, seeds: Sequence[int]) -> Values | None:
    """Shape (seeds, queries); None where a seed has no such set, or there is no seed."""
    values = [row.queries[seed][domain].values for seed in seeds if domain in row.queries[seed]]
    return np.stack(values) if values and len(values) == len(seeds) else None


def _mean(row: _Row, domain: str, settings: TestSettings) -> str:
    values = _values(row, domain, list(row.queries))
    if values is None:
        return NOTHING
    one = aggregate(values, resamples=settings.resamples, confidence=settings.confidence, seed=settings.seed)
    return f"{one.mean:.4f} ({one.low:.4f} … {one.high:.4f})"


def _over_teacher(row: _Row, domain: str, settings: TestSettings) -> str:
    values = _values(row, domain, list(row.queries))
    if values is None:
        return NOTHING
    teacher = next(iter(row.queries.values()))[domain].teacher
    one = ratio(values, teacher, resamples=settings.resamples, confidence=settings.confidence, seed=settings.seed)
    return f"{one.mean:.3f} ({one.low:.3f} … {one.high:.3f})"


def _difference(row: _Row, whole: _Row, domain: str, settings: TestSettings) -> SeedDifference | None:
    """A cell minus the whole recipe, over the seeds that both have; None where nothing can be paired."""
    seeds = [seed for seed in row.queries if seed in whole.queries]
    one, other = (_values(side, domain, seeds) for side in (row, whole))
    if one is None or other is None or not _same_split(row, whole, domain, seeds[0]):
        return None
    return seed_difference(one, other, resamples=settings.resamples, confidence=settings.confidence, seed=settings.seed)


def _same_split(row: _Row, whole: _Row, domain: str, seed: int) -> bool:
    return row.queries[seed][domain].split == whole.queries[seed][domain].split


def _told(one: SeedDifference, seeds: int) -> str:
    """The difference, and of how many seeds where those of the row are more."""
    paired = f", {one.seeds} of its seeds" if one.seeds < seeds else ""
    return f"{signed(one.mean)} ({signed(one.low)} … {signed(one.high)}){paired}"


def _seeds(row: _Row, seeds: Sequence[int]) -> str:
    """How many seeds are behind a row, and what became of the others."""
    failed = sum(bool(result.fault) for result in row.results.values())
    missing = len(seeds) - len(row.results)
    told = [f"{len(row.queries)} of {len(seeds)}" if failed or missing else str(len(seeds))]
    return ", ".join([*told, *([f"{failed} failed"] if failed else []), *([f"{missing} not run"] if missing else [])])


def _notes(rows: Sequence[_Row], differences: Sequence[SeedDifference]) -> list[str]:
    notes = []
    if len(differences) > 1:
        notes.append(f"p (Holm) is adjusted for the {len(differences)} differences of this table; intervals are not.")
    if 1 in [*(len(row.queries) for row in rows), *(one.seeds for one in differences)]:
        notes.append("Where one seed is behind a figure, its interval is over queries alone.")
    notes += [
        f"{row.name}, seed {seed} failed: {result.fault}"
        for row in rows
        for seed, result in row.results.items()
        if result.fault
    ]
    revisions = list(dict.fromkeys(result.revision for row in rows for result in row.results.values()))
    return [*notes, f"Run at {', '.join(revisions)}."] if revisions else notes
