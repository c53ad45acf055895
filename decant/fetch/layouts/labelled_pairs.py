"""Pairs of a query and a text with a label, one a row: WikiQA's columns, and others of this kind.

WikiQA: Yang et al., WikiQA: A Challenge Dataset for Open-Domain Question Answering, EMNLP 2015.
"""

from collections.abc import Mapping
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts.columns import QUERY_ID, Columns, Seen
from decant.fetch.layouts.given import Given
from decant.fetch.layouts.values import are_labels, identifier, short, whole

JOINS = True
PASSAGE = ("document", "sentence", "answer", "text", "doc", "candidate")
PASSAGE_ID = ("sentenceid", "sentence_id", "document_id", "documentid", "doc_id", "docid", "pid", "corpus_id")
COLUMNS = Columns(
    {
        "query": ("question",),
        "passage": PASSAGE,
        "label": ("relevance", "grade", "score"),
        "query_id": QUERY_ID,
        "passage_id": PASSAGE_ID,
    },
    query=("query",),
    candidates=("passage",),
    metadata=frozenset({"documentid", "documenttitle"}),  # of the article that WikiQA's sentence stands in
)


def matches(seen: Seen) -> bool:
    """See `decant.fetch.layouts.given.LayoutModule`; a column `score` holds labels if its numbers are whole and low."""
    label = COLUMNS.find("label", seen)
    if label is None or COLUMNS.find("query", seen) is None or COLUMNS.find("passage", seen) is None:
        return False
    return label != "score" or are_labels(seen["score"])


def convert(record: Mapping[str, Any]) -> Given | Unreadable:
    """See `decant.fetch.layouts.given.LayoutModule`."""
    given = labelled(record.get("query"), record.get("passage"), record.get("label"))
    if isinstance(given, Given):
        given.query_id = identifier(record.get("query_id"))
        given.ids = [identifier(record["passage_id"])] if "passage_id" in record else []
    return given


def labelled(query: Any, passage: Any, label: Any) -> Given | Unreadable:
    """A query and a text with its label: above 0 a positive of this grade, else a negative of grade 0.

    Returns:
        Unreadable where the label is no whole number.
    """
    grade = whole(label)
    if grade is None:
        remedy = "write the label as a whole number, 0 for not relevant; or set `layout: scored_pairs` for scores"
        return Unreadable(f"the label is {short(label)}, not a whole number", remedy)
    if grade > 0:
        return Given(query, positive=[passage], grades=[grade])
    return Given(query, negative=[passage], grades=[0])
