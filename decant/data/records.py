"""Records as a file gives them, and what stands in the place of one that cannot be read."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from decant.errors import DecantError


class Unreadable(NamedTuple):
    """A line or a row that is no record: what is wrong with it, and what to do about it."""

    fault: str
    remedy: str


Readable = TypeVar("Readable", bound=Mapping[str, Any])
Record = tuple[str, dict[str, Any] | Unreadable]
"""A place for messages, such as `path, line 3` or `path, row 2 (line 5)`, and what stands there."""


def checked(records: Iterable[tuple[str, Readable | Unreadable]]) -> Iterator[tuple[str, Readable]]:
    """Yield the records as they come.

    Raises:
        DecantError: at the first that is unreadable.
    """
    for place, record in records:
        if isinstance(record, Unreadable):
            raise DecantError(f"{place}: {record.fault}", record.remedy)
        yield place, record
