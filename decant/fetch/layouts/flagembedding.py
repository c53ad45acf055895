"""FlagEmbedding's layout: query, pos, neg, and the scores of a teacher.

https://github.com/FlagOpen/FlagEmbedding/tree/master/examples/finetune
"""

from collections.abc import Mapping
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts import values
from decant.fetch.layouts.columns import NUMBERED, QUERY_ID, Columns, Seen
from decant.fetch.layouts.given import Given

JOINS = False
COLUMNS = Columns(
    {
        "query": ("question",),
        "pos": ("positive",),
        "neg": ("negative",),
        "pos_scores": ("pos_score",),
        "neg_scores": ("neg_score",),
        "query_id": (*QUERY_ID, "_id", "id"),
        "pos_id": ("pos_ids",),
        "neg_id": ("neg_ids",),
        "prompt": (),
    },
    query=("query",),
    candidates=("pos",),
    negatives=("neg",),
    texts=("query", "pos", "neg"),
    metadata=frozenset({"type"}),  # of the instructions that FlagEmbedding's own trainer chooses among
)


def matches(seen: Seen) -> bool:
    """See `decant.fetch.layouts.given.LayoutModule`."""
    return COLUMNS.find("query", seen) is not None and bool({"pos", "neg"} & seen.keys()) and not _numbered(seen)


def _numbered(seen: Seen) -> bool:
    return any(NUMBERED.fullmatch(name) for name in seen)


def convert(record: Mapping[str, Any]) -> Given | Unreadable:
    """See `decant.fetch.layouts.given.LayoutModule`. The lists of texts are passed on as they are."""
    given = Given(record.get("query"), record.get("pos"), record.get("neg"))
    given.query_id = values.identifier(record.get("query_id"))
    positive, negative = values.count(given.positive), values.count(given.negative)
    scores = values.scores(record, {"pos_scores": positive, "neg_scores": negative})
    ids = values.ids(record, {"pos_id": positive, "neg_id": negative})
    prompt = values.text(record, "prompt")
    if isinstance(scores, Unreadable):
        return scores
    if isinstance(ids, Unreadable):
        return ids
    if isinstance(prompt, Unreadable):
        return prompt
    given.scores, given.ids, given.prompt = scores, ids, prompt
    return given
