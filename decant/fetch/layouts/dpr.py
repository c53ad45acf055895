"""DPR's layout: a question with contexts, positive ones, negatives drawn at random, and hard negatives that BM25 found.

Karpukhin et al., Dense Passage Retrieval, EMNLP 2020 (https://github.com/facebookresearch/DPR).
"""

from collections.abc import Mapping
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts.columns import QUERY_ID, Columns, Seen
from decant.fetch.layouts.documents import Documents, documents, given
from decant.fetch.layouts.given import Given

JOINS = False
_OWN = ("positive_ctxs", "hard_negative_ctxs", "negative_ctxs")
COLUMNS = Columns(
    {
        "question": ("query",),
        "positive_ctxs": ("positive",),
        "hard_negative_ctxs": ("negative",),
        "negative_ctxs": (),
        "query_id": (*QUERY_ID, "_id", "id"),
    },
    query=("question",),
    candidates=("positive_ctxs",),
    negatives=("hard_negative_ctxs", "negative_ctxs"),
    metadata=frozenset({"answers", "dataset"}),
)


def matches(seen: Seen) -> bool:
    """See `decant.fetch.layouts.given.LayoutModule`."""
    return COLUMNS.find("question", seen) is not None and any(name in seen for name in _OWN)


def convert(record: Mapping[str, Any]) -> Given | Unreadable:
    """See `decant.fetch.layouts.given.LayoutModule`. Hard negatives stand before the others."""
    positive, hard, drawn = (_contexts(record.get(name)) for name in _OWN)
    if isinstance(hard, Unreadable):
        return hard
    if isinstance(drawn, Unreadable):
        return drawn
    texts = None if hard.texts is None and drawn.texts is None else [*(hard.texts or []), *(drawn.texts or [])]
    negative = Documents(texts, hard.ids + drawn.ids, hard.scores + drawn.scores)
    return given(record.get("question"), record.get("query_id"), positive, negative)


def _contexts(value: Any) -> Documents | Unreadable:
    """Contexts without their scores, which are those of the search that found them: BM25's, or 1000 for a positive."""
    read = documents(value)
    return read if isinstance(read, Unreadable) else read._replace(scores=[None] * len(read.scores))
