"""Candidates that are objects, each with its text or its id."""

from itertools import chain
from typing import Any, NamedTuple

from decant.data.files import Unreadable, with_title
from decant.fetch.layouts.given import Given, TextId
from decant.fetch.layouts.values import identifier, number, short

ID = ("docid", "id", "_id", "doc_id", "passage_id", "psg_id")


class Documents(NamedTuple):
    """Candidates, and as many ids and scores.

    Attributes:
        texts: texts and `TextId`s; what is neither stays as it is. None where there is no list.
        ids: "" for a candidate that has none.
        scores: None for a candidate that has none.
    """

    texts: list[Any] | None
    ids: list[str]
    scores: list[float | None]


def documents(value: Any) -> Documents | Unreadable:
    """Read a text, an object, or a list of these. An object has `text`, before which its `title` stands, or an id.

    Returns:
        Unreadable where the score of an object is no number.
    """
    if value is None:
        return Documents(None, [], [])
    items = value if isinstance(value, list) else [value]
    try:
        if (alike := _alike(items)) is not None:
            return alike
        read = [_document(item) for item in items]
    except ValueError:
        scores = [item["score"] for item in items if isinstance(item, dict) and "score" in item]
        return Unreadable(f"the scores {short(scores)} are not all numbers", "write them as numbers, or leave them out")
    return Documents([text for text, _, _ in read], [key for _, key, _ in read], [score for _, _, score in read])


def _alike(items: list[Any]) -> Documents | None:
    """The same as one after the other, some times faster, for objects with the same keys and a text each; else None."""
    if set(map(type, items)) != {dict} or len(set(map(tuple, items))) != 1 or "text" not in items[0]:
        return None
    texts = [item["text"] for item in items]
    if set(map(type, texts)) != {str}:
        return None
    if "title" in items[0]:
        texts = [
            with_title(item["title"], text) if item["title"] else text for item, text in zip(items, texts, strict=True)
        ]
    name = next((name for name in ID if name in items[0]), None)
    scored = "score" in items[0]
    return Documents(
        texts,
        [identifier(item[name]) for item in items] if name else [""] * len(items),
        [number(item["score"]) for item in items] if scored else [None] * len(items),
    )


def text_ids(value: Any) -> Documents:
    """Read an id, or a list of ids. What cannot be an id stays as it is."""
    if value is None:
        return Documents(None, [], [])
    items = value if isinstance(value, list) else [value]
    texts = [TextId(item) if isinstance(item, str | int) and item != "" else item for item in items]
    return Documents(texts, [str(text) if isinstance(text, TextId) else "" for text in texts], [None] * len(texts))


def beside(*sides: Documents) -> tuple[list[str], list[float | None]]:
    """The ids and the scores of several lists one after the other, each empty where there is none at all."""
    ids = list(chain.from_iterable(side.ids for side in sides))
    scores = list(chain.from_iterable(side.scores for side in sides))
    return ids if any(ids) else [], scores if scores.count(None) < len(scores) else []


def given(
    query: Any, query_id: Any, positive: Documents | Unreadable, negative: Documents | Unreadable
) -> Given | Unreadable:
    """A row of documents; Unreadable where a side is."""
    if isinstance(positive, Unreadable):
        return positive
    if isinstance(negative, Unreadable):
        return negative
    ids, scores = beside(positive, negative)
    return Given(query, positive.texts, negative.texts, query_id=identifier(query_id), ids=ids, scores=scores)


def _document(item: Any) -> tuple[Any, str, float | None]:
    if not isinstance(item, dict):
        return item, "", None
    key = next((identifier(item[name]) for name in ID if name in item), "")
    text = item.get("text")
    if isinstance(text, str):
        title = item.get("title")
        text = with_title(title, text) if title else text
    else:
        text = TextId(key) if text is None and key else item
    return text, key, number(item["score"]) if "score" in item else None
