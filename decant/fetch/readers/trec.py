"""Qrels and runs, as TREC and BEIR write them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from decant.data.files import Unreadable, lines
from decant.errors import DecantError

QRELS = "write query-id, corpus-id and score, or TREC's four columns: query-id, 0, corpus-id and score"
RUN = "write TREC's six columns: query-id, Q0, corpus-id, rank, score and tag"
PAIRS_HEADER = ["query-id", "corpus-id"]
PAIRS = "write query-id and corpus-id, separated by a tab"


def read_qrels(path: Path) -> tuple[dict[str, dict[str, Any]], list[tuple[str, Unreadable]]]:
    """Read qrels of three columns (a header may stand before them) or of TREC's four, tabs or blanks between them.

    Returns:
        query-id → corpus-id → grade, and the lines that cannot be read. A pair with two grades cannot.
    """
    qrels: dict[str, dict[str, Any]] = {}
    faults = []
    for number, (place, cells) in enumerate(_cells(path, QRELS)):
        if len(cells) not in (3, 4):
            faults.append((place, Unreadable(f"{len(cells)} cells", QRELS)))
            continue
        query, document, score = cells[0], cells[-2], whole(cells[-1])
        if score is None and number == 0:
            continue
        if score is None:
            faults.append((place, Unreadable(f"the score {cells[-1]!r} is no whole number", "write 0, 1 or a grade")))
        elif qrels.setdefault(query, {}).setdefault(document, score) != score:
            faults.append((place, Unreadable(f"{query} {document} has another score in an earlier line", "keep one")))
    return qrels, faults


def read_run(path: Path) -> dict[str, list[tuple[str, float]]]:
    """Read a run: query-id → (corpus-id, score) by ascending rank, equal ranks in the file's order.

    Raises:
        DecantError: a line has other columns than a run's.
    """
    run: dict[str, list[tuple[int, str, float]]] = {}
    for line in run_lines(path):
        run.setdefault(line.query, []).append((line.rank, line.document, line.score))
    return {query: [row[1:] for row in sorted(rows, key=lambda row: row[0])] for query, rows in run.items()}


class RunLine(NamedTuple):
    """A line of a run, with its place for messages."""

    place: str
    query: str
    document: str
    rank: int
    score: float


def run_lines(path: Path) -> Iterator[RunLine]:
    """Yield the lines of a run in the file's order.

    Raises:
        DecantError: a line has other columns than a run's.
    """
    for place, cells in _cells(path, RUN):
        if len(cells) != 6:
            raise DecantError(f"{place}: {len(cells)} cells", RUN)
        try:
            yield RunLine(place, cells[0], cells[2], int(cells[3]), float(cells[4]))
        except ValueError as error:
            raise DecantError(f"{place}: rank {cells[3]!r} and score {cells[4]!r} are no numbers", RUN) from error


def read_pairs(path: Path) -> dict[str, list[str]]:
    """Read lists of candidates, query-id and corpus-id a line: query-id → corpus-ids.

    Raises:
        DecantError: the file is missing, or a line has other columns.
    """
    pairs: dict[str, list[str]] = {}
    for number, (place, cells) in enumerate(_cells(path, PAIRS)):
        if len(cells) != 2:
            raise DecantError(f"{place}: {len(cells)} cells", PAIRS)
        if number > 0 or cells != PAIRS_HEADER:
            pairs.setdefault(cells[0], []).append(cells[1])
    return pairs


def _cells(path: Path, remedy: str) -> Iterator[tuple[str, list[str]]]:
    if not path.is_file():
        raise DecantError(f"{path}: there is no such file", remedy)
    for number, line in lines(path):
        if line.strip():
            cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
            yield f"{path}, line {number}", [cell.strip() for cell in cells]


def whole(cell: object) -> int | None:
    """A score as a whole number, which it may hold in another form; None where it is none."""
    try:
        value = float(cell)  # type: ignore[arg-type]
        return int(value) if value.is_integer() else None
    except (TypeError, ValueError):
        return None
