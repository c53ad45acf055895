"""Join the rows of one query."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from decant.data.files import Unreadable
from decant.fetch.layouts.given import Given
from decant.fetch.layouts.values import short

Read = tuple[str, Given | Unreadable]


class _Candidate(NamedTuple):
    text: Any
    grade: Any
    key: str
    score: float | None


@dataclass(slots=True)
class _Query:
    """A query with what its rows have given so far.

    Attributes:
        place: of its first row.
        lists: positive, negative and unlabelled candidates, each by what makes two of them the same; None until a row
            has the list.
    """

    place: str
    query: Any
    query_id: str
    lists: list[dict[Any, _Candidate] | None] = field(default_factory=lambda: [None, None, None])

    def add(self, given: Given) -> None:
        """Add a row's candidates."""
        graded = iter(given.grades or [])
        ids, scores = iter(given.ids), iter(given.scores)
        for index, value in enumerate((given.positive, given.negative, given.candidates)):
            if value is None:
                continue
            candidates = self.lists[index] = self.lists[index] or {}
            for text in value if isinstance(value, list) else [value]:
                grade = next(graded, None) if index < 2 else None
                candidate = _Candidate(text, grade, next(ids, ""), next(scores, None))
                candidates.setdefault(_identity(candidate), candidate)

    def given(self) -> Given:
        """The query and all its candidates. A candidate that repeats exactly within its list is there once."""
        every = [candidate for candidates in self.lists for candidate in (candidates or {}).values()]
        grades = [candidate.grade for candidate in every]
        ids = [candidate.key for candidate in every]
        scores = [candidate.score for candidate in every]
        positive, negative, unlabelled = map(_texts, self.lists)
        given = Given(self.query, positive, negative, unlabelled, query_id=self.query_id)
        given.grades = None if all(grade in (None, 0, 1) for grade in grades) else grades
        given.ids = ids if any(ids) else []
        given.scores = scores if any(score is not None for score in scores) else []
        return given


def joined(rows: Iterable[Read]) -> Iterator[Read]:
    """Join the rows of one query, by its id or, where it has none, by its text, at the place of the first of them.

    A text that stands in both lists stays in both. All rows are read before the first is yielded, for those of a query
    may be anywhere. A row whose id stands for another text before it is yielded as Unreadable.
    """
    in_order: list[tuple[str, Unreadable] | _Query] = []
    queries: dict[tuple[str, str], _Query] = {}
    for place, given in rows:
        if isinstance(given, Unreadable):
            in_order.append((place, given))
            continue
        key = _key(given)
        query = queries.get(key) if key else None
        if query is None:
            query = _Query(place, given.query, given.query_id)
            in_order.append(query)
            if key:
                queries[key] = query
        elif query.query is None:
            query.query = given.query
        elif given.query is not None and given.query != query.query:
            in_order.append((place, _two_texts(given, query)))
            continue
        query.add(given)
    for item in in_order:
        yield (item.place, item.given()) if isinstance(item, _Query) else item


def _texts(candidates: dict[Any, _Candidate] | None) -> list[Any] | None:
    return None if candidates is None else [candidate.text for candidate in candidates.values()]


def _key(given: Given) -> tuple[str, str] | None:
    """What the rows of one query have in common; None for a query that cannot be told from others."""
    if given.query_id:
        return "id", given.query_id
    return ("text", given.query) if isinstance(given.query, str) and given.query.strip() else None


def _identity(candidate: _Candidate) -> Any:
    """Equal for candidates that repeat exactly; what is no text repeats nothing, so that the validator counts it."""
    if not isinstance(candidate.text, str):
        return object()
    return type(candidate.text), candidate.text, candidate.grade, candidate.score


def _two_texts(given: Given, query: _Query) -> Unreadable:
    fault = f"the query id {short(given.query_id)} is that of {short(query.query)} in {query.place}, "
    return Unreadable(f"{fault}and here that of {short(given.query)}", "give each query an id of its own")
