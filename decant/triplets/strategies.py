"""The strategies by which n-tuples are drawn. A pair is its number among those that are drawn from at once."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]
Grades = npt.NDArray[np.int8]
Limits = Callable[[Scores], npt.NDArray[np.float64]]  # of positives' scores: above them, negatives are false
Picked = tuple[Numbers, Numbers]  # n-tuples as pairs: positives, shape (tuples,), and negatives, shape (tuples, k)


class Rows(NamedTuple):
    """Whole rows of the set, their pairs numbered from 0. All but `labelled` are of shape (pairs,)."""

    row: Numbers  # from 0 and without gaps
    score: Scores  # the teacher's
    ranking: Numbers  # pairs, row by row, the teacher's best first and equals in the order of the set
    is_positive: Flags  # by label; in a row without labels, the teacher's best alone; or relabelled
    grade: Grades  # of a positive by label, 1 where the set has no grades or it is relabelled; 0 for every other pair
    labelled: Flags  # whether each row has a label, shape (rows,)

    def relabelled(self, limits: "Limits") -> "Rows":
        """The same with the negatives above the limit of their row's best-scored positive as positives of grade 1.

        As judges relabel hard negatives in RLHN, https://arxiv.org/abs/2505.16967; here the teacher is the judge.
        """
        positive = self.ranking[self.is_positive[self.ranking]]
        row, best = np.unique(self.row[positive], return_index=True)
        limit = np.full(len(self.labelled), np.inf)
        limit[row] = limits(self.score[positive[best]])
        false = ~self.is_positive & (self.score > limit[self.row])
        return self._replace(is_positive=self.is_positive | false, grade=np.where(false, np.int8(1), self.grade))


class Pools(NamedTuple):
    """For each n-tuple to draw, its positive and the negatives among which to choose: a run of `ranked`."""

    ranked: Numbers  # pairs, in runs of the teacher's best first
    positive: Numbers  # a pair, shape (pools,)
    first: Numbers  # where the run begins, shape (pools,)
    size: Numbers  # how long it is, shape (pools,)
    score: Scores  # the teacher's, of each pair, shape (pairs,)

    def where(self, chosen: "Flags | slice") -> "Pools":
        """Some of the pools."""
        return self._replace(positive=self.positive[chosen], first=self.first[chosen], size=self.size[chosen])

    def at(self, places: Numbers) -> Numbers:
        """The pairs at these places of each pool, 0 the hardest; from shape (pools, n) or (n,) to (pools, n)."""
        pairs: Numbers = self.ranked[self.first[:, None] + places]
        return pairs

    def band(self, start: int, end: int) -> "Pools":
        """The same with the negatives at places `start` to `end` alone, `end` itself left out, 0 the hardest."""
        return self._replace(first=self.first + start, size=np.clip(self.size, start, end) - start)

    def without_false_negatives(self, limits: "Limits") -> "Pools":
        """The same without the negatives that score above their own positive's limit.

        Positive-aware mining (NV-Retriever, https://arxiv.org/abs/2407.15831). A pool is in the order of the scores, so
        what is left out is its beginning, and its end is found by bisection.
        """
        limit = limits(self.score[self.positive])
        low, high = self.first, self.first + self.size
        while (unsure := low < high).any():
            middle = (low + high) // 2
            above = self.score[self.ranked[np.where(unsure, middle, 0)]] > limit
            low, high = np.where(unsure & above, middle + 1, low), np.where(unsure & ~above, middle, high)
        return self._replace(first=low, size=self.first + self.size - low)

    def slices(self, limit: int) -> Iterator["Pools"]:
        """All pools, some at a time: of each slice, all but the first hold fewer than `limit` negatives together."""
        cuts = np.flatnonzero(np.diff(np.cumsum(self.size) // limit)) + 1
        for start, end in pairwise(np.unique([0, *cuts, len(self.size)])):
            yield self.where(slice(start, end))


def label_positives(rows: Rows, count: int | None, rng: np.random.Generator) -> Pools:
    """`count` positives of each row in the set's order, each with all negatives of its row.

    Those of the highest grades are taken; among equal grades, positives are drawn at random.
    """
    positive = np.flatnonzero(rows.is_positive)
    if count is not None:
        row = rows.row[positive]
        shuffled = np.lexsort((rng.random(len(row)), -rows.grade[positive], row))
        positive = np.sort(positive[shuffled[_place_in_run(row) < count]])
    ranked = rows.ranking[~rows.is_positive[rows.ranking]]
    first, end = (np.searchsorted(rows.row[ranked], rows.row[positive], side) for side in ("left", "right"))
    return Pools(ranked, positive, first, end - first, rows.score)


def label_positives_with_negatives(rows: Rows, _: int | None, rng: np.random.Generator) -> Pools:
    """Every positive of each row that has a negative."""
    pools = label_positives(rows, None, rng)
    return pools.where(pools.size > 0)


def teacher_top_k(rows: Rows, count: int | None, _: np.random.Generator) -> Pools:
    """Labels aside, each of the teacher's top `count` with all that it ranks below."""
    top = np.flatnonzero(_place_in_run(rows.row) < (count or 1))
    end = np.searchsorted(rows.row, rows.row[top], "right")
    return Pools(rows.ranking, rows.ranking[top], top + 1, end - top - 1, rows.score)


def hardest(pools: Pools, negatives: int, _: np.random.Generator) -> Picked:
    """The negatives with the teacher's highest scores."""
    return pools.positive, pools.at(np.arange(negatives))


def random(pools: Pools, negatives: int, rng: np.random.Generator) -> Picked:
    """Negatives drawn at random without replacement, anew for each positive."""
    pool = np.repeat(np.arange(len(pools.size)), pools.size)
    shuffled = _place_in_run(pool)[np.lexsort((rng.random(len(pool)), pool))]
    first = np.cumsum(pools.size) - pools.size
    return pools.positive, pools.at(shuffled[first[:, None] + np.arange(negatives)])


def mixed(pools: Pools, negatives: int, rng: np.random.Generator) -> Picked:
    """Half of them the hardest, the odd one included, and then the others drawn at random from the rest of the pool."""
    hard = (negatives + 1) // 2
    rest = pools._replace(first=pools.first + hard, size=pools.size - hard)
    _, drawn = random(rest, negatives - hard, rng)
    return pools.positive, np.hstack((pools.at(np.arange(hard)), drawn))


def by_rank(pools: Pools, negatives: int, _: np.random.Generator) -> Picked:
    """Negatives spread evenly over the teacher's ranking, from the hardest to the easiest."""
    places = np.linspace(0, pools.size - 1, negatives, axis=-1)
    return pools.positive, pools.at(places.round().astype(np.int64))


def by_score(pools: Pools, negatives: int, _: np.random.Generator) -> Picked:
    """Negatives spread evenly over the range of the pool's scores, from the hardest to the easiest.

    Of evenly spaced scores, the highest first, each takes the negative nearest to it that is left; the harder of two.
    """
    pool, start = np.repeat(np.arange(len(pools.size)), pools.size), np.cumsum(pools.size) - pools.size
    place = _place_in_run(pool)
    score = pools.score[pools.ranked[pools.first[pool] + place]].astype(np.float64)
    wanted = np.linspace(score[start], score[start + pools.size - 1], negatives, axis=-1)
    left = np.ones(len(pool), dtype=bool)
    for each in wanted.T:
        distance = np.where(left, np.abs(score - each[pool]), np.inf)
        nearest = np.flatnonzero(distance == np.minimum.reduceat(distance, start)[pool])
        left[nearest[np.searchsorted(pool[nearest], np.arange(len(start)))]] = False
    return pools.positive, pools.at(place[~left].reshape(len(start), negatives))


def all_pairs(pools: Pools, _negatives: int, _: np.random.Generator) -> Picked:
    """Every negative, one triplet each."""
    pool = np.repeat(np.arange(len(pools.size)), pools.size)
    negative = pools.ranked[pools.first[pool] + _place_in_run(pool)]
    return pools.positive[pool], negative[:, None]


class Strategy(NamedTuple):
    """How n-tuples are drawn: with which positives, and which negatives of each one's pool."""

    pools: Callable[[Rows, int | None, np.random.Generator], Pools]
    pick: Callable[[Pools, int, np.random.Generator], Picked]


STRATEGIES = {
    "hardest": Strategy(label_positives, hardest),
    "random": Strategy(label_positives, random),
    "by_rank": Strategy(label_positives, by_rank),
    "by_score": Strategy(label_positives, by_score),
    "band": Strategy(label_positives, random),  # from pools that were cut to the band
    "mixed": Strategy(label_positives, mixed),
    "all_pairs": Strategy(label_positives_with_negatives, all_pairs),  # the published embedding recipe
    "teacher_top_k": Strategy(teacher_top_k, hardest),  # the published reranker recipe: the next n of the ranking
}
REPLAY = Strategy(teacher_top_k, by_rank)  # of the guard set: labels aside, the teacher's best and its whole ranking


def _place_in_run(numbers: Numbers) -> Numbers:
    """0, 1, 2 …, anew with each number, of sorted numbers."""
    return np.arange(len(numbers)) - np.searchsorted(numbers, numbers)
