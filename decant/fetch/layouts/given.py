"""A row as its source gives it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class NotJudged(NamedTuple):
    """A query, or a document of a query, of which the source says too little: left out, and counted by the reason."""

    reason: str


class TextId(str):
    """The id of a text of the set's corpus, or of its queries, which stands for the text."""

    __slots__ = ()


@dataclass(slots=True)
class Given:
    """One query with its candidates, before validation: each list may be absent (None), one text, or a list."""

    query: Any = None
    positive: Any = None
    negative: Any = None
    candidates: Any = None
    grades: list[Any] | None = None
    query_id: str = ""
    ids: list[str] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    prompt: str = ""
