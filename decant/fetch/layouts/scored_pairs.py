"""Pairs of a query and a text with a teacher's score and no label, one a row."""

from collections.abc import Mapping
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts.columns import QUERY_ID, Columns, Seen
from decant.fetch.layouts.given import Given
from decant.fetch.layouts.labelled_pairs import PASSAGE, PASSAGE_ID
from decant.fetch.layouts.values import are_labels, identifier, number, short

JOINS = True
COLUMNS = Columns(
    {
        "query": ("question", "sentence1"),
        "passage": (*PASSAGE, "sentence2"),
        "score": ("label",),
        "query_id": QUERY_ID,
        "passage_id": PASSAGE_ID,
    },
    query=("query",),
    candidates=("passage",),
)


def matches(seen: Seen) -> bool:
    """See `decant.fetch.layouts.given.LayoutModule`; whole numbers that are low are labels, not scores."""
    others = [COLUMNS.find(column, seen) for column in ("query", "passage")]
    scores = seen.get("score", [])
    return None not in others and any(map(_is_number, scores)) and not are_labels(scores)


def _is_number(value: Any) -> bool:
    try:
        return number(value) is not None
    except ValueError:
        return False


def convert(record: Mapping[str, Any]) -> Given | Unreadable:
    """See `decant.fetch.layouts.given.LayoutModule`."""
    try:
        score = number(record.get("score"))
    except ValueError:
        fault = f"the score is {short(record.get('score'))}, not a finite number"
        return Unreadable(fault, "write the score as a number, or leave it empty")
    ids = [identifier(record["passage_id"])] if "passage_id" in record else []
    query_id = identifier(record.get("query_id"))
    return Given(record.get("query"), candidates=[record.get("passage")], query_id=query_id, ids=ids, scores=[score])
