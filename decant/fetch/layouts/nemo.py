"""The layout of NVIDIA NeMo's retrievers: question, pos_doc and neg_doc, each a text, texts, or objects with ids.

https://docs.nvidia.com/nemo/automodel/latest/guides/llm/retrieval-dataset.html
"""

from collections.abc import Mapping
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts.columns import Columns, Seen
from decant.fetch.layouts.documents import documents, given
from decant.fetch.layouts.given import Given

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
    return given(record.get("question"), record.get("question_id"), positive, negative)
