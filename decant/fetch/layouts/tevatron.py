"""Tevatron's layout: a query with passages that have ids and titles, or with the ids of documents alone.

https://github.com/texttron/tevatron
"""

from collections.abc import Mapping
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts.columns import QUERY_ID, Columns, Seen
from decant.fetch.layouts.documents import Documents, documents, given, text_ids
from decant.fetch.layouts.given import Given

JOINS = False
_OWN = ("positive_passages", "negative_passages", "positive_document_ids", "negative_document_ids")
COLUMNS = Columns(
    {
        "query": ("query_text", "question"),
        "positive_passages": ("positive",),
        "negative_passages": ("negative",),
        "positive_document_ids": (),
        "negative_document_ids": (),
        "query_id": (*QUERY_ID, "_id", "id"),
    },
    query=("query",),
    candidates=("positive_passages", "positive_document_ids"),
    negatives=("negative_passages", "negative_document_ids"),
    metadata=frozenset({"answers", "source", "query_image", "query_video", "query_audio"}),
)


def matches(seen: Seen) -> bool:
    """See `decant.fetch.layouts.given.LayoutModule`."""
    return COLUMNS.find("query", seen) is not None and any(name in seen for name in _OWN)


def convert(record: Mapping[str, Any]) -> Given | Unreadable:
    """See `decant.fetch.layouts.given.LayoutModule`."""
    positive, negative = (_side(record, side) for side in ("positive", "negative"))
    return given(record.get("query"), record.get("query_id"), positive, negative)


def _side(record: Mapping[str, Any], side: str) -> Documents | Unreadable:
    passages, keys = record.get(f"{side}_passages"), record.get(f"{side}_document_ids")
    return text_ids(keys) if passages is None else documents(passages)
