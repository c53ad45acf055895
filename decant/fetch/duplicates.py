"""Rows of one query: made one, or kept apart without labels that contradict each other."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from decant.data.sets import Row, normalise
from decant.fetch.faults import Faults

Placed = tuple[str, Row]


class _Item(NamedTuple):
    text: str
    grade: int
    identifier: str


def merge(rows: Iterable[Placed], faults: Faults, *, labelled: bool) -> list[Row]:
    """The rows of each query as one, in the first one's place.

    A text that is positive in one of them is positive; the faults count the rows where it is not.
    """
    by_query: dict[str, list[Placed]] = {}
    for place, row in rows:
        by_query.setdefault(row.query, []).append((place, row))
    merged = []
    for same in by_query.values():
        row = same[0][1] if len(same) == 1 else _merged([row for _, row in same], faults)
        if labelled and not row.negative:
            faults.add("no_negative", same[-1][0], f"merged with the earlier row of the query {row.query[:60]!r}")
            faults.rows_left_out += 1
        else:
            merged.append(row)
    return merged


def _merged(rows: list[Row], faults: Faults) -> Row:
    lists: dict[str, dict[str, _Item]] = {}
    for name in ("positive", "negative", "unlabelled"):
        lists[name] = {}
        for item in (item for row in rows for item in _items(row)[name]):
            earlier = lists[name].setdefault(item.text, item)
            if item.grade > earlier.grade:
                lists[name][item.text] = earlier._replace(grade=item.grade)
    folded = {normalise(text) for text in lists["positive"]}
    both = list(lists["negative"].values())
    negative = [item for item in both if normalise(item.text) not in folded]
    faults.conflicting_labels += len(both) - len(negative)
    return _row(rows[0], list(lists["positive"].values()), negative, list(lists["unlabelled"].values()))


def keep(rows: Iterable[Placed], faults: Faults, *, labelled: bool) -> list[Row]:
    """All rows, without the negatives that another row of the query has as positives, which are faults."""
    placed = list(rows)
    count = Counter(row.query for _, row in placed)
    positives: defaultdict[str, set[str]] = defaultdict(set)
    for _, row in placed:
        if count[row.query] > 1:
            positives[row.query].update(map(normalise, row.positive))
    kept = [_kept(place, row, positives[row.query], faults) if count[row.query] > 1 else row for place, row in placed]
    ranked = [row for row in kept if row.negative or not labelled]
    faults.rows_left_out += len(kept) - len(ranked)
    return ranked


def _kept(place: str, row: Row, positives: set[str], faults: Faults) -> Row:
    items = _items(row)
    negative = [item for item in items["negative"] if normalise(item.text) not in positives]
    if len(negative) == len(row.negative):
        return row
    for item in items["negative"]:
        if item not in negative:
            faults.add("both_lists", place, f"{item.text[:60]!r} is negative here and positive in another row")
            faults.texts_left_out += 1
    return _row(row, items["positive"], negative, items["unlabelled"])


def _items(row: Row) -> dict[str, list[_Item]]:
    ids = row.ids or [""] * len(row.candidates)
    grades = [*row.gains, *[0] * len(row.unlabelled)]
    items = [_Item(*each) for each in zip(row.candidates, grades, ids, strict=True)]
    first, second = len(row.positive), len(row.positive) + len(row.negative)
    return {"positive": items[:first], "negative": items[first:second], "unlabelled": items[second:]}


def _row(row: Row, positive: list[_Item], negative: list[_Item], unlabelled: list[_Item]) -> Row:
    everything = [*positive, *negative, *unlabelled]
    grades = [item.grade for item in (*positive, *negative)]
    plain = grades == [1] * len(positive) + [0] * len(negative)
    ids = [item.identifier for item in everything]
    return replace(
        row,
        positive=[item.text for item in positive],
        negative=[item.text for item in negative],
        unlabelled=[item.text for item in unlabelled],
        grades=[] if plain else grades,
        ids=ids if any(ids) else [],
    )
