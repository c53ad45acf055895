"""Cells of a table as texts, or as lists in the columns that hold lists.

A list is a JSON array in its cell. A column is one of lists where a cell of it is an array of strings, or where all of
its cells are arrays. In any other column a cell in brackets, such as `[see note 3]`, is a text.
"""

import ast
import warnings
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

from decant.data.jsons import loads
from decant.data.records import Unreadable

QUERY = "query"  # a single text in every layout, in brackets or not
REMEDY = 'write lists as JSON arrays, such as ["one", "two"] (a list that Python printed is none)'


class Kind(Enum):
    """What a column's cells in brackets are."""

    LISTS = "JSON arrays"
    PYTHON = "lists as Python prints them"
    TEXTS = "texts"


class Columns:
    """Turns the cells of a row into a record.

    Args:
        names: of the columns; those without a name are left out.
        rows: the first rows, which tell what the cells in brackets are.
    """

    def __init__(self, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        self.names = names
        columns = zip(*(row for row in rows if len(row) == len(names)), strict=True)
        kinds = (_kind(column) for column in columns)
        # A column without a cell in brackets is decided by the first that comes.
        self._kinds = {name: kind for name, kind in zip(names, kinds, strict=False) if kind}

    def record(self, cells: Sequence[str]) -> dict[str, Any] | Unreadable:
        """The record of a row, or why it is none."""
        if len(cells) != len(self.names):
            return Unreadable(
                f"the row does not have as many cells as the header ({len(cells)}, not {len(self.names)})",
                "quote cells that hold the delimiter, and give every row all cells",
            )
        record: dict[str, Any] = dict(zip(self.names, cells, strict=True))
        record.pop("", None)
        for name, cell in record.items():
            if _in_brackets(cell) and name != QUERY:
                value = self._value(name, cell)
                if isinstance(value, Unreadable):
                    return value
                record[name] = value
        return record

    def _value(self, name: str, cell: str) -> Any:
        kind = self._kinds.get(name) or _kind([cell, "a text"])
        if kind is None:
            return cell
        self._kinds[name] = kind
        value = _array(cell)
        if kind is Kind.TEXTS:
            if _of_strings(value):
                fault = f"`{name}` is a JSON array, and cells in brackets of earlier rows are not"
                return Unreadable(fault, "write all lists of the column as JSON arrays, or none")
            return cell
        if value is None:
            return Unreadable(f"`{name}` stands in brackets, but is not a JSON array", REMEDY)
        return value


def _kind(cells: Sequence[str]) -> Kind | None:
    """What a column's cells in brackets are; None where there are none."""
    bracketed = [cell for cell in cells if _in_brackets(cell)]
    if not bracketed:
        return None
    values = [_array(cell) for cell in bracketed]
    of_arrays = None not in values and len(bracketed) == sum(bool(cell.strip()) for cell in cells)
    if of_arrays or any(_of_strings(value) for value in values):
        return Kind.LISTS
    return Kind.PYTHON if all(map(_is_python, bracketed)) and values.count(None) == len(values) else Kind.TEXTS


def _in_brackets(cell: str) -> bool:
    return cell.lstrip()[:1] == "[" and cell.rstrip()[-1:] == "]"


def _array(cell: str) -> list[Any] | None:
    try:
        value = loads(cell.encode())
    except ValueError:
        return None
    return value if isinstance(value, list) else None


def _of_strings(value: list[Any] | None) -> bool:
    return value is not None and (not value or any(isinstance(item, str) for item in value))


def _is_python(cell: str) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes that Python does not know
            value = ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return isinstance(value, list)
