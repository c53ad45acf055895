"""Candidates that are objects, each with its text or its id."""

from typing import Any, NamedTuple

from decant.data.files import with_title
from decant.fetch.layouts.given import TextId
from decant.fetch.layouts.values import identifier, number

ID = ("docid", "id", "_id", "doc_id", "passage_id")


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


def documents(value: Any) -> Documents:
    """Read a text, an object, or a list of these. An object has `text`, before which its `title` stands, or an id."""
    if value is None:
        return Documents(None, [], [])
    items = value if isinstance(value, list) else [value]
    read = [_document(item) for item in items]
    return Documents([text for text, _, _ in read], [key for _, key, _ in read], [score for _, _, score in read])


def text_ids(value: Any) -> Documents:
    """Read an id, or a list of ids. What cannot be an id stays as it is."""
    if value is None:
        return Documents(None, [], [])
    items = value if isinstance(value, list) else [value]
    texts = [TextId(item) if isinstance(item, str | int) and item != "" else item for item in items]
    return Documents(texts, [str(text) if isinstance(text, TextId) else "" for text in texts], [None] * len(texts))


def beside(*sides: Documents) -> tuple[list[str], list[float | None]]:
    """The ids and the scores of several lists one after the other, each empty where there is none at all."""
    ids = [key for side in sides for key in side.ids]
    scores = [score for side in sides for score in side.scores]
    return ids if any(ids) else [], scores if any(score is not None for score in scores) else []


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
    return text, key, _score(item["score"]) if "score" in item else None


def _score(value: Any) -> float | None:
    try:
        return number(value)
    except ValueError:
        return None
