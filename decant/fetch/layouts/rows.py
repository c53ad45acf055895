"""Decant's own layout, and that of MTEB's reranking sets: query, positive and negative, or query and candidates."""

from collections.abc import Mapping
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts import values
from decant.fetch.layouts.columns import QUERY_ID, Columns, Seen
from decant.fetch.layouts.given import Given

JOINS = False
COLUMNS = Columns(
    {
        "query": ("question",),
        "positive": ("positives",),
        "negative": ("negatives", "hard_negative", "hard_negatives"),
        "candidates": (),
        "grades": (),
        "query_id": (*QUERY_ID, "_id", "id"),
        "ids": (),
    },
    query=("query",),
    candidates=("positive", "candidates"),
    negatives=("negative",),
    texts=("query", "positive", "negative"),
)


def matches(seen: Seen) -> bool:
    """See `decant.fetch.layouts.given.LayoutModule`; a query alone is enough, for candidates can be mined."""
    return COLUMNS.find("query", seen) is not None


def convert(record: Mapping[str, Any]) -> Given | Unreadable:
    """See `decant.fetch.layouts.given.LayoutModule`. The lists of texts are passed on as they are."""
    given = Given(record.get("query"), record.get("positive"), record.get("negative"), record.get("candidates"))
    given.query_id = values.identifier(record.get("query_id"))
    if "grades" not in record and "ids" not in record:
        return given
    labelled = values.count(given.positive) + values.count(given.negative)
    grades = values.grades(record, {"grades": labelled})
    ids = values.ids(record, {"ids": labelled + values.count(given.candidates)})
    if isinstance(grades, Unreadable):
        return grades
    if isinstance(ids, Unreadable):
        return ids
    given.grades, given.ids = grades or None, ids
    return given
