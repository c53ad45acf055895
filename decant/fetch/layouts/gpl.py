"""GPL's training data: the ids of a query, a positive and a negative, and the margin between the two scores.

Wang et al., GPL: Generative Pseudo Labeling, NAACL 2022 (https://github.com/UKPLab/gpl).
"""

from collections.abc import Mapping
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts.columns import QUERY_ID, Columns, Seen
from decant.fetch.layouts.documents import beside, text_ids
from decant.fetch.layouts.given import Given
from decant.fetch.layouts.values import identifier

JOINS = True
COLUMNS = Columns(
    {"query_id": QUERY_ID, "positive_id": ("pos_id",), "negative_id": ("neg_id",)},
    query=("query_id",),
    candidates=("positive_id",),
    negatives=("negative_id",),
    metadata=frozenset({"margin"}),  # a difference, so no score of either text
)


def matches(seen: Seen) -> bool:
    """See `decant.fetch.layouts.given.LayoutModule`; where texts stand in the row, its ids are not all there is."""
    texts = {"query", "question", "anchor", "positive", "pos"} & seen.keys()
    return not texts and all(COLUMNS.find(column, seen) is not None for column in COLUMNS.spellings)


def convert(record: Mapping[str, Any]) -> Given | Unreadable:
    """See `decant.fetch.layouts.given.LayoutModule`."""
    query = text_ids(record.get("query_id")).texts or [None]
    positive, negative = text_ids(record.get("positive_id")), text_ids(record.get("negative_id"))
    ids, _ = beside(positive, negative)
    return Given(query[0], positive.texts, negative.texts, query_id=identifier(record.get("query_id")), ids=ids)
