"""The layout of NVIDIA NeMo's retrievers: question, pos_doc and neg_doc, each a text, texts, or objects with ids.

https://docs.nvidia.com/nemo/automodel/latest/guides/llm/retrieval-dataset.html
"""

from collections.abc import Mapping
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts.columns import Columns, Seen
from decant.fetch.layouts.documents import beside, documents
from decant.fetch.layouts.given import Given
from decant.fetch.layouts.values import identifier

JOINS = False
COLUMNS = Columns(
    {
        "question": ("query",),
        "pos_doc": ("positive",),
        "neg_doc": ("negative",),
        "question_id": ("query_id", "questionid", "qid", "_id", "id"),
    },
    query=("question",),
    candidates=("pos_doc",),
    negatives=("neg_doc",),
    metadata=frozenset({"corpus_id"}),
)


def matches(seen: Seen) -> bool:
    """See `decant.fetch.layouts.given.LayoutModule`."""
    return COLUMNS.find("question", seen) is not None and bool({"pos_doc", "neg_doc"} & seen.keys())


def convert(record: Mapping[str, Any]) -> Given | Unreadable:
    """See `decant.fetch.layouts.given.LayoutModule`."""
    positive, negative = documents(record.get("pos_doc")), documents(record.get("neg_doc"))
    if isinstance(positive, Unreadable):
        return positive
    if isinstance(negative, Unreadable):
        return negative
    ids, scores = beside(positive, negative)
    query_id = identifier(record.get("question_id"))
    return Given(record.get("question"), positive.texts, negative.texts, query_id=query_id, ids=ids, scores=scores)
