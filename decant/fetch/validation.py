"""The one validator through which every reranking set passes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from decant.data.files import Batch, Unreadable
from decant.data.sets import Row, normalise
from decant.fetch.duplicates import keep, merge
from decant.fetch.faults import Faults
from decant.fetch.items import Item, NotJudged
from decant.fetch.layouts.given import Given
from decant.fetch.settings import Duplicates
from decant.fetch.similarity import alike, count_near, near_duplicates
from decant.fetch.soundness import soundness
from decant.fetch.texts import VISIBLE, fault_of, short


def valid_rows(
    records: Iterable[tuple[str, Item]], duplicates: Duplicates, *, labelled: bool, relevant_from: int = 1
) -> tuple[Iterable[Row | pa.RecordBatch], Faults]:
    """The rows of a split as they come, and their faults, which are complete when the rows have ended.

    Rows of records that are batches come as batches too; only where `duplicates` are refused may records be batches.

    Args:
        records: the place names file and line, for the messages.
        duplicates: of a query: keep both rows, merge their candidates (a positive label wins), or take the first.
        labelled: whether rows must have labels and negatives, as dev and test do; those of train can be mined.
        relevant_from: the lowest grade of a positive.
    """
    validator = Validator(labelled=labelled, relevant_from=relevant_from, unique=duplicates == "refuse")
    placed = validator.rows(records)
    if duplicates == "refuse":
        return (row for _, row in placed), validator.faults
    join = merge if duplicates == "merge" else keep
    return join(placed, validator.faults, labelled=labelled), validator.faults


class Candidate(NamedTuple):
    """A text with what its source says of it."""

    text: Any
    grade: Any  # None where labels are plain
    identifier: str


class _LeftOut(Exception):
    """A row is left out for a fault or, without a kind, for faults that are counted already."""

    def __init__(self, kind: str = "", detail: str = "") -> None:
        super().__init__()
        self.kind, self.detail = kind, detail


class Validator:
    """Turns what a source gives into rows, and counts what is wrong.

    Args:
        labelled: refuse rows without labels or negatives (dev and test need both; for train they can be mined).
        relevant_from: the lowest grade of a positive.
        unique: refuse a query that an earlier row has.

    Attributes:
        faults: complete when `rows` has ended.
    """

    def __init__(self, *, labelled: bool, relevant_from: int = 1, unique: bool = True) -> None:
        self.labelled, self.relevant_from, self.unique = labelled, relevant_from, unique
        self.faults = Faults()
        self._seen: set[int] = set()  # hashes of queries
        self._all_labelled: bool | None = None

    def rows(self, records: Iterable[tuple[str, Item]]) -> Iterator[tuple[str, Row | pa.RecordBatch]]:
        """The sound rows, and those that are left when faulty candidates are taken out of them, with their places.

        Args:
            records: the place names file and line, for the messages. A batch's sound rows come as slices of it.
        """
        for place, given in records:
            if isinstance(given, Batch):
                yield from self._batch(given)
                continue
            if isinstance(given, NotJudged):
                self.faults.not_judged[given.reason] += 1
                continue
            self.faults.rows += 1
            try:
                row = self._row(place, given)
            except _LeftOut as fault:
                if fault.kind:
                    self.faults.add(fault.kind, place, fault.detail)
                self.faults.rows_left_out += 1
                continue
            yield place, row

    def _batch(self, batch: Batch) -> Iterator[tuple[str, Row | pa.RecordBatch]]:
        """The rows of a batch: runs of those that are sound and fit as they are, all others one by one."""
        keys = list(map(hash, batch.rows["query"].to_pylist()))
        sound, near = soundness(batch.rows)
        often = {key for key, count in Counter(keys).items() if count > 1} | self._seen.intersection(keys)
        sound &= [self._all_labelled is True and key not in often for key in keys]
        ends = [0, *(np.flatnonzero(np.diff(sound)) + 1).tolist(), len(keys)]
        for first, end in pairwise(ends):
            rows = batch.rows[first:end]
            if sound[first]:
                self.faults.rows += len(rows)
                self.faults.texts += len(rows["positive"].flatten()) + len(rows["negative"].flatten())
                self.faults.near_duplicates += int(near[first:end].sum())
                self._seen.update(keys[first:end])
                yield batch.place(first), rows
            else:
                each = enumerate(rows.to_pylist(), start=first)
                yield from self.rows((batch.place(number), Given(**record)) for number, record in each)

    def _row(self, place: str, given: Given | Unreadable) -> Row:
        if isinstance(given, Unreadable):
            raise _LeftOut("unreadable", f"{given.fault}: {given.remedy}")
        query = given.query
        if query is None:
            raise _LeftOut("no_query")
        if self._text_fault(place, "query", query):
            raise _LeftOut
        row = self._sound(given)
        if row is None:
            row = self._mended(place, given)
            self.faults.near_duplicates += near_duplicates(row.positive, alike(row.positive, row.negative))
        self._check_fit(row)
        return row

    def _check_fit(self, row: Row) -> None:
        """Leave out a row that is not of the split's kind, or whose query is not new."""
        if self._all_labelled is None:
            self._all_labelled = row.labelled
        elif self._all_labelled != row.labelled:
            raise _LeftOut("mixed", f"the row is {'' if row.labelled else 'not '}labelled, unlike the first")
        key = hash(row.query)
        if key in self._seen:
            self.faults.duplicate_queries += 1
            if self.unique:
                raise _LeftOut("duplicate_query", f"the query {short(row.query)} is in an earlier row too")
        self._seen.add(key)

    def _sound(self, given: Given) -> Row | None:
        """The row where nothing can be wrong with its texts, which a few looks at all of them together tell."""
        positive, negative = _listed(given.positive), _listed(given.negative)
        if not positive or not negative or given.candidates is not None or given.grades is not None:
            return None
        try:
            joined = " ".join((*positive, *negative))
        except TypeError:
            return None
        texts = {*positive, *negative}
        size = len(positive) + len(negative)
        if len(texts) != size or len(given.ids) not in (0, size) or not joined.isascii():
            return None
        # One whose first character is seen is no blank; of all the others each is looked at.
        if not "!" <= min(texts) <= max(texts) < "\x7f" and not all(map(VISIBLE.search, texts)):
            return None
        near = count_near(positive, negative)
        if near is None:
            return None
        self.faults.near_duplicates += near
        self.faults.texts += size
        return Row(given.query, positive, negative, query_id=given.query_id, ids=given.ids)

    def _mended(self, place: str, given: Given) -> Row:
        """The row without its faulty candidates, which are counted."""
        if given.candidates is not None:
            return self._unlabelled(place, given)
        lists = {key: _listed(getattr(given, key)) for key in ("positive", "negative")}
        absent = given.positive is None and not given.negative
        if absent and not self.labelled:
            return Row(given.query, query_id=given.query_id)
        if absent:
            raise _LeftOut("unlabelled", "a query without candidates")
        for key, items in lists.items():
            if items is None:
                raise _LeftOut("not_a_string", f"`{key}` is {short(getattr(given, key))}")
        given_lists = {key: items or [] for key, items in lists.items()}
        candidates, size = _candidates(given, given_lists), len(given_lists["positive"])
        if candidates is None:
            raise _LeftOut("unreadable", "its grades or ids are not as many as its texts")
        if given.grades is not None:
            candidates = [each for each in candidates if self._has_grade(place, each)]
            parts = [[c for c in candidates if c.grade >= self.relevant_from]]
            parts.append([c for c in candidates if c.grade < self.relevant_from])
        else:
            parts = [candidates[:size], candidates[size:]]
        had = [bool(part) for part in parts]
        positive, negative = (
            self._texts(place, key, part) for key, part in zip(("positive", "negative"), parts, strict=True)
        )
        negative = self._without_positives(place, positive, negative)
        if not positive:
            raise _LeftOut("" if had[0] else "no_positive")
        if self.labelled and not negative:
            raise _LeftOut("" if had[1] else "no_negative")
        return _assembled(given, positive, negative)

    def _unlabelled(self, place: str, given: Given) -> Row:
        items = _listed(given.candidates)
        if given.positive is not None:
            raise _LeftOut("labels_and_candidates", "give positive and negative, or candidates alone")
        if self.labelled:
            raise _LeftOut("unlabelled", "the candidates have no labels")
        if items is None:
            raise _LeftOut("not_a_string", f"`candidates` is {short(given.candidates)}")
        candidates = _candidates(given, {"candidates": items})
        if candidates is None:
            raise _LeftOut("unreadable", "its ids are not as many as its texts")
        found = self._texts(place, "candidates", candidates)
        if len(found) < 2:
            raise _LeftOut("too_few_candidates")
        ids = [each.identifier for each in found] if given.ids else []
        return Row(given.query, unlabelled=[each.text for each in found], query_id=given.query_id, ids=ids)

    def _texts(self, place: str, key: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The sound candidates of a list, each text once."""
        kept: dict[str, Candidate] = {}
        for number, candidate in enumerate(candidates):
            self.faults.texts += 1
            if self._text_fault(place, f"{key}[{number}]", candidate.text):
                self.faults.texts_left_out += 1
            elif candidate.text in kept:
                self.faults.repeated_candidates += 1
            else:
                kept[candidate.text] = candidate
        return list(kept.values())

    def _without_positives(
        self, place: str, positive: Sequence[Candidate], negative: Sequence[Candidate]
    ) -> list[Candidate]:
        """The negatives without those that are, folded, a positive of the row."""
        folded = {normalise(each.text): each.text for each in positive}
        kept = []
        for each in negative:
            same = folded.get(normalise(each.text))
            if same is None:
                kept.append(each)
                continue
            spelt = "" if same == each.text else f" (as {short(same)})"
            self.faults.add("both_lists", place, f"{short(each.text)} is both positive{spelt} and negative")
            self.faults.texts_left_out += 1
        return kept

    def _has_grade(self, place: str, candidate: Candidate) -> bool:
        if isinstance(candidate.grade, int) and not isinstance(candidate.grade, bool) and candidate.grade <= 127:
            return True
        self.faults.add("no_label", place, f"{short(candidate.grade)} of {short(candidate.text)}")
        self.faults.texts += 1
        self.faults.texts_left_out += 1
        return False

    def _text_fault(self, place: str, key: str, value: Any) -> bool:
        """Whether a text is faulty, which is counted."""
        fault = fault_of(key, value)
        if fault:
            self.faults.add(fault[0], place, fault[1])
        return fault is not None


def _listed(value: Any) -> list[Any] | None:
    """A list as it is, one text as a list of it, nothing as an empty list; None for anything else."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return [value]
    return [] if value is None else list(value) if isinstance(value, tuple) else None


def _candidates(given: Given, lists: dict[str, list[Any]]) -> list[Candidate] | None:
    """The candidates of some lists; None where grades or ids are not as many."""
    texts = [text for items in lists.values() for text in items]
    grades = given.grades if given.grades is not None else [None] * len(texts)
    ids = given.ids or [""] * len(texts)
    if not len(texts) == len(grades) == len(ids):
        return None
    return [Candidate(*each) for each in zip(texts, grades, ids, strict=True)]


def _assembled(given: Given, positive: list[Candidate], negative: list[Candidate]) -> Row:
    both = [*positive, *negative]
    grades = [] if given.grades is None else [max(0, each.grade) for each in both]
    if grades == [1] * len(positive) + [0] * len(negative):
        grades = []
    texts = [each.text for each in positive], [each.text for each in negative]
    ids = [each.identifier for each in both] if given.ids else []
    return Row(given.query, *texts, grades=grades, query_id=given.query_id, ids=ids)
