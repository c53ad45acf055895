"""Draw n-tuples (query, positive, k negatives, teacher scores) from scored candidates, by a named strategy.

Scores stream through in record batches. Whole rows of the set are drawn from at once: a pair is known by its number
among theirs, and every step below is one NumPy or Arrow call for all of them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from decant.errors import DecantError

SCHEMA = pa.schema(
    [
        ("query", pa.string()),
        ("positive", pa.string()),
        ("negatives", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
    ]
)
PAIRS = 1 << 15  # drawn from at once, and negatives chosen among at once

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """Whole rows of the set, their pairs numbered from 0.

    Args:
        row: the number of each pair's row, from 0 and without gaps, shape (pairs,).
        ranking: pairs, row by row, the teacher's best first and equals in the order of the set, shape (pairs,).
        is_positive: of each pair: by label; in a row without labels, the teacher's best alone, shape (pairs,).
        labelled: whether each row has a label, shape (rows,).
    """

    row: Numbers
    ranking: Numbers
    is_positive: Flags
    labelled: Flags


@dataclass(frozen=True)
class Pools:
    """For each n-tuple to draw, its positive and the negatives among which to choose: a run of `ranked`.

    Args:
        ranked: pairs, in runs of the teacher's best first.
        positive: a pair, shape (pools,).
        first: where the run begins, shape (pools,).
        size: how long it is, shape (pools,).
    """

    ranked: Numbers
    positive: Numbers
    first: Numbers
    size: Numbers

    def __getitem__(self, chosen: "Flags | slice") -> "Pools":
        return Pools(self.ranked, self.positive[chosen], self.first[chosen], self.size[chosen])

    def at(self, places: Numbers) -> Numbers:
        """The pairs at these places of each pool, 0 the hardest; from shape (pools, n) or (n,) to (pools, n)."""
        pairs: Numbers = self.ranked[self.first[:, None] + places]
        return pairs

    def slices(self, limit: int) -> "Iterator[Pools]":
        """All pools, some at a time: of each slice, all but the first hold fewer than `limit` negatives together."""
        cuts = np.flatnonzero(np.diff(np.cumsum(self.size) // limit)) + 1
        for start, end in pairwise(np.unique([0, *cuts, len(self.size)])):
            yield self[start:end]


class Picked(NamedTuple):
    """n-tuples as pairs: positives, shape (tuples,), and negatives, shape (tuples, k)."""

    positive: Numbers
    negatives: Numbers


def label_positives(rows: Rows, count: int | None, rng: np.random.Generator) -> Pools:
    """`count` positives of each row, drawn at random and in the set's order, each with all negatives of its row."""
    positive = np.flatnonzero(rows.is_positive)
    if count is not None:
        row = rows.row[positive]
        shuffled = np.lexsort((rng.random(len(row)), row))
        positive = np.sort(positive[shuffled[_place_in_run(row) < count]])
    ranked = rows.ranking[~rows.is_positive[rows.ranking]]
    first, end = (np.searchsorted(rows.row[ranked], rows.row[positive], side) for side in ("left", "right"))
    return Pools(ranked, positive, first, end - first)


def label_positives_with_negatives(rows: Rows, _: int | None, rng: np.random.Generator) -> Pools:
    """Every positive of each row that has a negative."""
    pools = label_positives(rows, None, rng)
    return pools[pools.size > 0]


def teacher_top_k(rows: Rows, count: int | None, _: np.random.Generator) -> Pools:
    """Labels aside, each of the teacher's top `count` with all that it ranks below."""
    top = np.flatnonzero(_place_in_run(rows.row) < (count or 1))
    end = np.searchsorted(rows.row, rows.row[top], "right")
    return Pools(rows.ranking, rows.ranking[top], top + 1, end - top - 1)


def hardest(pools: Pools, negatives: int, _: np.random.Generator) -> Picked:
    """The negatives with the teacher's highest scores."""
    return Picked(pools.positive, pools.at(np.arange(negatives)))


def random(pools: Pools, negatives: int, rng: np.random.Generator) -> Picked:
    """Negatives drawn at random without replacement, anew for each positive."""
    pool = np.repeat(np.arange(len(pools.size)), pools.size)
    shuffled = _place_in_run(pool)[np.lexsort((rng.random(len(pool)), pool))]
    first = np.cumsum(pools.size) - pools.size
    return Picked(pools.positive, pools.at(shuffled[first[:, None] + np.arange(negatives)]))


def by_rank(pools: Pools, negatives: int, _: np.random.Generator) -> Picked:
    """Negatives spread evenly over the teacher's ranking, from the hardest to the easiest."""
    places = np.linspace(0, pools.size - 1, negatives, axis=-1)
    return Picked(pools.positive, pools.at(places.round().astype(np.int64)))


def all_pairs(pools: Pools, _negatives: int, _: np.random.Generator) -> Picked:
    """Every negative, one triplet each."""
    pool = np.repeat(np.arange(len(pools.size)), pools.size)
    negative = pools.ranked[pools.first[pool] + _place_in_run(pool)]
    return Picked(pools.positive[pool], negative[:, None])


class Strategy(NamedTuple):
    """How n-tuples are drawn: with which positives, and which negatives of each one's pool."""

    pools: Callable[[Rows, int | None, np.random.Generator], Pools]
    pick: Callable[[Pools, int, np.random.Generator], Picked]


STRATEGIES = {
    "hardest": Strategy(label_positives, hardest),
    "random": Strategy(label_positives, random),
    "by_rank": Strategy(label_positives, by_rank),
    "all_pairs": Strategy(label_positives_with_negatives, all_pairs),  # the published embedding recipe
    "teacher_top_k": Strategy(teacher_top_k, hardest),  # the published reranker recipe: the next n of the ranking
}


class Draw:
    """A draw of n-tuples, and what it came to: complete when `batches` is at its end.

    Args:
        strategy: a name in `STRATEGIES`.
        positives: used per row, or the k of `teacher_top_k`; None uses all.
        negatives: per n-tuple; 1 in `all_pairs`.
        seed: of every draw.

    Attributes:
        tuples: drawn.
        queries: rows of the set that have at least one n-tuple.
        too_few: n-tuples left out because too few negatives remained.
        labelled: whether every positive is positive by label.
    """

    def __init__(self, strategy: str, positives: int | None, negatives: int, seed: int) -> None:
        self._strategy, self._positives, self._negatives = STRATEGIES[strategy], positives, negatives
        # Each is used up in the order of the set, one number a positive or a negative: where a batch ends is no matter.
        self._of_positives, self._of_negatives = np.random.default_rng(seed).spawn(2)
        self.tuples, self.queries, self.too_few = 0, 0, 0
        self.labelled = strategy != "teacher_top_k"

    def batches(self, scores: Iterable[pa.RecordBatch], limit: int = PAIRS) -> Iterator[pa.RecordBatch]:
        """Draw the n-tuples of every row of the set.

        Args:
            scores: teacher scores in batches of any size; see `decant.scores.SCHEMA`.
            limit: negatives to choose among at once.

        Yields:
            batches of `SCHEMA`; every n-tuple has the same number of negatives, `scores` holds the positive's first.

        Raises:
            DecantError: at the end, not one row had enough negatives.
        """
        for pairs in whole_rows(scores):
            rows = _ranked(pairs)
            pools = self._strategy.pools(rows, self._positives, self._of_positives)
            enough = pools.size >= self._negatives
            pools = pools[enough]
            self.labelled = self.labelled and bool(rows.labelled.all())
            self.too_few += int((~enough).sum())
            self.queries += len(np.unique(rows.row[pools.positive]))
            for some in pools.slices(limit):
                batch = _texts(pairs, self._strategy.pick(some, self._negatives, self._of_negatives))
                self.tuples += batch.num_rows
                yield batch
        if not self.queries:
            raise DecantError(f"no query has {self._negatives} negatives", "lower the track's triplets.negatives")


def whole_rows(scores: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same pairs in batches that hold the pairs of each row of the set together, whatever a row's length."""
    held: list[pa.RecordBatch] = []  # of the row that may go on
    for batch in scores:
        if not batch.num_rows:
            continue
        row = batch["row"].to_numpy()
        starts = np.flatnonzero(np.diff(row, prepend=held[-1]["row"][-1].as_py() if held else row[:1]))
        if len(starts):
            last = int(starts[-1])
            yield pa.concat_batches([*held, batch.slice(0, last)])
            held, batch = [], batch.slice(last)
        held.append(batch)
    if held:
        yield pa.concat_batches(held)


def _ranked(pairs: pa.RecordBatch) -> Rows:
    number = pairs["row"].to_numpy()
    row = np.cumsum(np.diff(number, prepend=number[:1]) != 0)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    ranking = np.lexsort((-pairs["score"].to_numpy(), row))
    labels = pairs["label"]
    labelled = np.bincount(row, weights=labels.is_valid().to_numpy(zero_copy_only=False)) > 0
    is_positive = pc.fill_null(pc.greater(labels, 0), False).to_numpy(zero_copy_only=False, writable=True)
    is_positive[ranking[first[~labelled]]] = True
    return Rows(row, ranking, is_positive, labelled)


def _place_in_run(numbers: Numbers) -> Numbers:
    """0, 1, 2 …, anew with each number; equal numbers follow one another, smaller ones first."""
    return np.arange(len(numbers)) - np.searchsorted(numbers, numbers)


def _texts(pairs: pa.RecordBatch, picked: Picked) -> pa.RecordBatch:
    """The n-tuples, as `SCHEMA` has them."""
    positive, negatives = picked
    candidates = np.column_stack((positive, negatives))
    columns = [
        pairs["query"].take(pa.array(positive)),
        pairs["candidate"].take(pa.array(positive)),
        _lists(pairs["candidate"], negatives),
        _lists(pairs["score"], candidates),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def _lists(values: pa.Array, chosen: Numbers) -> pa.ListArray:
    """One list of chosen values a tuple, from shape (tuples, n)."""
    offsets = np.arange(len(chosen) + 1, dtype=np.int32) * chosen.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.take(pa.array(chosen.ravel())))
