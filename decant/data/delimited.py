"""Records of a table of delimited cells: CSV and TSV."""

import csv
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from decant.data.cells import Columns
from decant.data.lines import Lines
from decant.data.records import Record
from decant.errors import DecantError

DELIMITERS = ",;\t|"  # of those that give equally many cells, the first
LOOKED_AT = 4096  # rows, and
LOOKED_AT_CHARACTERS = 64 << 20  # at most, which tell which columns hold lists
LONGEST_CELL = 64 << 20  # characters; quotes that never close end here
_QUOTED = re.compile(r'"[^"]*"?')
_ENCLOSED = re.compile(r'"(?:[^"]|"")*"')


class _Row(NamedTuple):
    place: str
    cells: list[str]


def check_delimiter(delimiter: str) -> None:
    """Raise a DecantError unless the delimiter is one character that can separate cells."""
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise DecantError(f"`delimiter` is {delimiter!r}", r'write one character, such as ";" or "\t"')


def read_delimited(path: Path, encoding: str | None, delimiter: str | None) -> Iterator[Record]:
    """Yield a record for each row below the header; a blank line is no row.

    A cell is a text, or a list where its column is one of lists (see `decant.data.cells`). A row with more or fewer
    cells than the header is unreadable. After a fault in the quoting nobody knows where the next row begins, so it
    ends the file.

    Args:
        path: of the file.
        encoding: as of `Lines`.
        delimiter: of the cells; without one it is the one that gives the header most cells.

    Raises:
        DecantError: the file is broken or not of its encoding, its quoting is broken, or two columns have one name.
    """
    csv.field_size_limit(LONGEST_CELL)
    rows = _rows(path, encoding, delimiter)
    names = next(rows, _Row("", [])).cells
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        raise DecantError(f"{path}: two columns are named {' and '.join(repeated)}", "rename or remove one of them")
    first = _first(rows)
    columns = Columns(names, [row.cells for row in first])
    for place, cells in chain(first, rows):
        yield place, columns.record(cells)


def _rows(path: Path, encoding: str | None, delimiter: str | None) -> Iterator[_Row]:
    """The rows, the header first; their numbers begin below it."""
    lines = (text for _, text in Lines(path, encoding).texts())
    begin: list[str] = []  # the header, and blank lines before it, which count too
    for text in lines:
        begin.append(text)
        if text.strip():
            break
    delimiter = delimiter or _likely("".join(begin))
    plain = delimiter == "\t" and _quotes_are_text(path, encoding)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL
    reader = csv.reader(chain(begin, lines), delimiter=delimiter, quoting=quoting, strict=True)
    number = end = 0
    try:
        for cells in reader:
            end = reader.line_num
            if cells:
                yield _Row(f"{path}, row {number} (line {end})", cells)
                number += 1
    except csv.Error as error:
        reason = "a carriage return outside quotes" if "new-line" in str(error) else str(error)
        raise DecantError(
            f"{path}, line {end + 1}: not valid CSV ({reason})",
            "mend the quoting: double each quote within a cell, and close each cell that a quote opens",
        ) from error


def _quotes_are_text(path: Path, encoding: str | None) -> bool:
    """Whether the quotes in a file with tabs are characters like others, as many programs write them.

    They are where every line has the header's number of cells, and some cell begins with a quote that does not enclose
    it whole, as in `"Yes" is a song`.
    """
    width, found = 0, False
    for _, text in Lines(path, encoding).texts():
        line = text.rstrip("\r\n")
        if not line.strip():
            continue
        width = width or line.count("\t") + 1
        if line.count("\t") + 1 != width:
            return False
        if not found and '"' in line:
            found = any(cell.startswith('"') and not _ENCLOSED.fullmatch(cell) for cell in line.split("\t"))
    return found


def _likely(header: str) -> str:
    plain = _QUOTED.sub("", header)
    return max(DELIMITERS, key=plain.count)


def _first(rows: Iterator[_Row]) -> list[_Row]:
    first: list[_Row] = []
    characters = 0
    for row in rows:
        first.append(row)
        characters += sum(map(len, row.cells))
        if len(first) == LOOKED_AT or characters > LOOKED_AT_CHARACTERS:
            break
    return first
