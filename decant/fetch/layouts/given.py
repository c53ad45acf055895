"""What a layout makes of a row, before validation, and what a layout's module offers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from decant.data.files import Unreadable
from decant.fetch.layouts.columns import Columns, Seen


class TextId(str):
    """The id of a text in the set's corpus or queries, in the place of the text itself."""

    __slots__ = ()


@dataclass(slots=True)
class Given:
    """One query with its candidates as the source gives them; the validator checks types and texts.

    Attributes:
        query: a text or a `TextId`; None where the row has none.
        positive: a text, or a list of texts or `TextId`s; None where the row has none. So are `negative` and
            `candidates`, which have no labels. A value of a wrong type stays as it is.
        grades: graded relevance of `positive` and then `negative`; None where labels are plain.
        query_id: of the source; empty where it gives none.
        ids: of the source, one a candidate (positive, negative, unlabelled), "" for one that has none; empty where the
            source gives none.
        scores: raw scores of a teacher that came with the row, one a candidate, None for one that has none; empty
            where the source gives none.
        prompt: the query's prompt that came with the row.
    """

    query: Any
    positive: Any = None
    negative: Any = None
    candidates: Any = None
    grades: list[Any] | None = None
    query_id: str = ""
    ids: list[str] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    prompt: str = ""


class LayoutModule(Protocol):
    """A module in `decant.fetch.layouts`."""

    COLUMNS: Columns
    JOINS: bool  # whether the rows of one query are to be joined

    def matches(self, seen: Seen) -> bool:
        """Whether records with these columns are of this layout."""

    def convert(self, record: Mapping[str, Any]) -> Given | Unreadable:
        """The row's query and candidates; Unreadable where the row has not the layout's shape.

        Args:
            record: a row with the layout's own column names, the keys of `COLUMNS.spellings`.
        """
