"""Read the values that stand beside the texts of a row: labels, scores, ids."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from decant.data.files import Unreadable

_HIGHEST = 10  # above this a column `score` of whole numbers counts something, such as votes


def whole(value: Any) -> int | None:
    """A whole number, or the one that a string holds; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value) if isinstance(value, int) else None


def are_labels(values: list[Any]) -> bool:
    """Whether values are labels: whole numbers from −1 to 10, empty cells aside."""
    labels = [whole(value) for value in values if value not in (None, "")]
    return bool(labels) and all(label is not None and -1 <= label <= _HIGHEST for label in labels)


def short(value: Any) -> str:
    """A value as messages show it."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def identifier(value: Any) -> str:
    """An id as a string; empty where there is none."""
    return "" if value is None else str(value)


def count(candidates: Any) -> int:
    """The number of candidates in a value that holds one, a list of them, or none (None)."""
    if candidates is None:
        return 0
    return len(candidates) if isinstance(candidates, list | tuple) else 1


def scores(record: Mapping[str, Any], counts: Mapping[str, int]) -> list[float | None] | Unreadable:
    """The scores in some columns, one after the other; see `_parallel`."""
    return _parallel(record, counts, _numbers, None)


def ids(record: Mapping[str, Any], counts: Mapping[str, int]) -> list[str] | Unreadable:
    """The ids in some columns, one after the other; see `_parallel`."""
    return _parallel(record, counts, _identifiers, "")


def grades(record: Mapping[str, Any], counts: Mapping[str, int]) -> list[Any] | Unreadable:
    """The grades in some columns, as they are, one after the other; see `_parallel`."""
    return _parallel(record, counts, list, None)


def number(value: Any) -> float | None:
    """A finite number, or the one that a string holds; None for None and an empty cell. Else a ValueError."""
    try:
        return _number(value)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"{short(value)} is not a finite number") from error


def text(record: Mapping[str, Any], column: str) -> str | Unreadable:
    """A column's text; empty where there is none."""
    value = record.get(column)
    if value is None or isinstance(value, str):
        return value or ""
    return Unreadable(f"`{column}` is {short(value)}, not a string", f"write `{column}` as a string, or leave it out")


def _number(value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool):
        raise ValueError(f"{value} is no number")
    read = float(value)
    if not math.isfinite(read):
        raise ValueError(f"{read} is not finite")
    return read


def _numbers(items: list[Any]) -> list[float | None]:
    if set(map(type, items)) == {float} and all(map(math.isfinite, items)):
        return items
    return [_number(item) for item in items]


def _identifiers(items: list[Any]) -> list[str]:
    return [identifier(item) for item in items]


def _parallel(
    record: Mapping[str, Any], counts: Mapping[str, int], read: Callable[[list[Any]], list[Any]], absent: Any
) -> list[Any] | Unreadable:
    """Values of some columns that stand beside candidates, in one list.

    Args:
        record: the row.
        counts: column → the number of candidates that it has a value for.
        read: makes values of what stands in a column.
        absent: the value of a candidate whose column is empty.

    Returns:
        One value a candidate; an empty list where all columns are empty; Unreadable where their number differs from
        that of the candidates, or `read` fails.
    """
    if all(record.get(column) in (None, [], "") for column in counts):
        return []
    values: list[Any] = []
    for column, expected in counts.items():
        value = record.get(column)
        items = [absent] * expected if value in (None, [], "") else value if isinstance(value, list) else [value]
        if len(items) != expected:
            fault = f"`{column}` has {len(items)} values for {expected} candidates"
            return Unreadable(fault, f"give `{column}` one value a candidate, or leave it out")
        try:
            values += read(items)
        except (TypeError, ValueError, OverflowError):
            fault = f"`{column}` is {short(value)}, which does not hold finite numbers alone"
            return Unreadable(fault, f"write `{column}` as numbers, or leave it out")
    return values
