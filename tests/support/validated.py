"""Records through their layout and the validator, as `fetch` takes them."""

from collections.abc import Iterable
from typing import Any

from decant.data.sets import Row
from decant.fetch.faults import Faults
from decant.fetch.layouts.read import Rows
from decant.fetch.settings import OnFaults
from decant.fetch.validation import valid_rows


def validated(
    records: Iterable[Any],
    duplicates: Any = "refuse",
    *,
    labelled: bool = True,
    faults: OnFaults = "refuse",
    relevant_from: int = 1,
    layout: str | None = None,
    max_dropped: float = 1.0,
) -> tuple[list[Row], Faults]:
    """The rows, and what the validator found; a DecantError where it refuses."""
    rows, found = valid_rows(Rows(records, layout), duplicates, labelled=labelled, relevant_from=relevant_from)
    kept = list(rows)
    found.check("own", faults, max_dropped)
    return kept, found
