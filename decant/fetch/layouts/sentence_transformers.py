"""The layouts of sentence-transformers: pairs, triplets, n-tuples, and pairs with a label.

https://sbert.net/docs/sentence_transformer/loss_overview.html
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from decant.data.files import Unreadable
from decant.fetch.layouts.columns import NUMBERED, QUERY_ID, Columns, Seen
from decant.fetch.layouts.given import Given
from decant.fetch.layouts.labelled_pairs import labelled
from decant.fetch.layouts.values import are_labels, identifier

JOINS = True  # one row a pair or triplet
ANSWERS = ("answer", "response", "passage")
COLUMNS = Columns(
    {
        "anchor": ("query", "question", "sentence1"),
        "positive": ("pos", *ANSWERS),
        "negative": ("neg",),
        "sentence2": (),
        "label": ("score",),
        "query_id": QUERY_ID,
    },
    query=("anchor",),
    candidates=("positive", "sentence2"),
    negatives=("negative",),
    numbered=True,
)


def matches(seen: Seen) -> bool:
    """See `decant.fetch.layouts.given.LayoutModule`. `query`, `positive` and `negative` alone are Decant's layout."""
    if {"sentence1", "sentence2"} <= seen.keys():
        return "label" in seen or ("score" in seen and are_labels(seen["score"]))
    if "anchor" in seen:
        return True
    if not {"query", "question"} & seen.keys():
        return False
    pairs = any(name in seen for name in ANSWERS) and not {"positive", "candidates"} & seen.keys()
    return pairs or any(NUMBERED.fullmatch(name) for name in seen)


def convert(record: Mapping[str, Any]) -> Given | Unreadable:
    """See `decant.fetch.layouts.given.LayoutModule`. A numbered cell that is empty is no candidate."""
    query = record.get("anchor")
    if "sentence2" in record:
        given = labelled(query, record["sentence2"], record.get("label"))
    else:
        given = Given(query, _texts(record, "positive"), _texts(record, "negative"))
    if isinstance(given, Given):
        given.query_id = identifier(record.get("query_id"))
    return given


def _texts(record: Mapping[str, Any], side: str) -> list[Any] | None:
    """The texts of one side: of its own column, then of its numbered ones; None where there is no column."""
    plain = record.get(side)
    texts = [] if plain is None else list(plain) if isinstance(plain, list) else [plain]
    numbered = _numbered(tuple(record))[side]
    texts += [record[name] for name in numbered if not _empty(record[name])]
    return None if plain is None and not numbered else texts


def _empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


@lru_cache(maxsize=256)
def _numbered(names: tuple[str, ...]) -> dict[str, list[str]]:
    """The numbered columns of each side, by their numbers."""
    found: dict[str, list[tuple[int, str]]] = {"positive": [], "negative": []}
    for name in names:
        if match := NUMBERED.fullmatch(name):
            found["positive" if match[1] == "pos" else "negative"].append((int(match[2]), name))
    return {side: [name for _, name in sorted(columns)] for side, columns in found.items()}
