"""Draw n-tuples (query, positive, k negatives, teacher scores) from scored candidates, by a named strategy."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from decant.errors import DecantError

SCHEMA = pa.schema(
    [
        ("query", pa.string()),
        ("positive", pa.string()),
        ("negatives", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float32())),
    ]
)

Tuple = tuple[int, list[int]]


@dataclass(frozen=True)
class Candidates:
    """One query's scored candidates.

    Args:
        texts: shape (candidates,).
        scores: the teacher's, shape (candidates,).
        positives: indices of the label-positives; without labels, of the teacher's best candidate.
        negatives: indices of all others, best teacher score first.
    """

    texts: list[str]
    scores: list[float]
    positives: list[int]
    negatives: list[int]


Strategy = Callable[[Candidates, int | None, int, np.random.Generator], Iterator[Tuple]]


def _chosen_positives(row: Candidates, count: int | None, rng: np.random.Generator) -> list[int]:
    """`count` label-positives drawn at random, in the set's order; None takes them all."""
    if count is None or count >= len(row.positives):
        return row.positives
    return sorted(int(index) for index in rng.choice(row.positives, size=count, replace=False))


def hardest(row: Candidates, positives: int | None, negatives: int, rng: np.random.Generator) -> Iterator[Tuple]:
    """The negatives with the teacher's highest scores."""
    for positive in _chosen_positives(row, positives, rng):
        yield positive, row.negatives[:negatives]


def random(row: Candidates, positives: int | None, negatives: int, rng: np.random.Generator) -> Iterator[Tuple]:
    """Negatives drawn at random without replacement, anew for each positive."""
    for positive in _chosen_positives(row, positives, rng):
        size = min(negatives, len(row.negatives))
        yield positive, [int(index) for index in rng.choice(row.negatives, size=size, replace=False)]


def by_rank(row: Candidates, positives: int | None, negatives: int, rng: np.random.Generator) -> Iterator[Tuple]:
    """Negatives spread evenly over the teacher's ranking, from the hardest to the easiest."""
    for positive in _chosen_positives(row, positives, rng):
        places = np.linspace(0, len(row.negatives) - 1, min(negatives, len(row.negatives))).round().astype(int)
        yield positive, [row.negatives[place] for place in places]


def all_pairs(row: Candidates, positives: int | None, negatives: int, rng: np.random.Generator) -> Iterator[Tuple]:
    """The published embedding recipe: every positive with every negative, one triplet each."""
    for positive in row.positives:
        for negative in row.negatives:
            yield positive, [negative]


def teacher_top_k(row: Candidates, positives: int | None, negatives: int, rng: np.random.Generator) -> Iterator[Tuple]:
    """The published reranker recipe: labels aside, each of the teacher's top k with the next n of its ranking."""
    ranking = sorted(range(len(row.scores)), key=lambda index: (-row.scores[index], index))
    for place in range(min(positives or 1, len(ranking))):
        yield ranking[place], ranking[place + 1 : place + 1 + negatives]


STRATEGIES: dict[str, Strategy] = {
    "hardest": hardest,
    "random": random,
    "by_rank": by_rank,
    "all_pairs": all_pairs,
    "teacher_top_k": teacher_top_k,
}


@dataclass(frozen=True)
class Drawn:
    """The n-tuples, and what was left out of them.

    Args:
        table: of `SCHEMA`; every row has the same number of negatives, `scores` holds the positive's first.
        queries: the number that have at least one n-tuple.
        too_few: tuples left out because too few negatives remained.
        labelled: whether every positive is positive by label.
    """

    table: pa.Table
    queries: int
    too_few: int
    labelled: bool


def draw(scores: pa.Table, strategy: str, positives: int | None, negatives: int, seed: int) -> Drawn:
    """Draw the n-tuples of every query.

    Args:
        scores: teacher scores, the pairs of a query in one run of rows (see `decant.scoring.SCHEMA`).
        strategy: a name in `STRATEGIES`.
        positives: positives used per query, or the k of `teacher_top_k`; None uses all.
        negatives: per n-tuple.
        seed: of every draw.

    Raises:
        DecantError: not one query has enough negatives.
    """
    choose = STRATEGIES[strategy]
    rng = np.random.default_rng(seed)
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    queries, too_few, labelled = 0, 0, strategy != "teacher_top_k"
    for query, row, by_label in _by_query(scores):
        labelled = labelled and by_label
        found = False
        for positive, chosen in choose(row, positives, negatives, rng):
            if len(chosen) < negatives:
                too_few += 1
                continue
            found = True
            columns["query"].append(query)
            columns["positive"].append(row.texts[positive])
            columns["negatives"].append([row.texts[index] for index in chosen])
            columns["scores"].append([row.scores[index] for index in (positive, *chosen)])
        queries += found
    if not queries:
        raise DecantError(f"no query has {negatives} negatives", "lower the track's triplets.negatives")
    return Drawn(pa.table(columns, schema=SCHEMA), queries, too_few, labelled)


def _by_query(scores: pa.Table) -> Iterator[tuple[str, Candidates, bool]]:
    queries = scores.column("query").to_pylist()
    candidates = scores.column("candidate").to_pylist()
    labels = scores.column("label").to_pylist()
    values = scores.column("score").to_pylist()
    start = 0
    while start < len(queries):
        end, texts = start, set()
        # The next row of the set begins with another query, where a candidate comes again, or where a positive
        # follows a negative, since a row's positives come first.
        while end < len(queries) and queries[end] == queries[start] and candidates[end] not in texts:
            if end > start and labels[end] and labels[end - 1] == 0:
                break
            texts.add(candidates[end])
            end += 1
        yield queries[start], *_candidates(candidates[start:end], labels[start:end], values[start:end])
        start = end


def _candidates(texts: list[str], labels: Sequence[int | None], scores: list[float]) -> tuple[Candidates, bool]:
    ranking = sorted(range(len(texts)), key=lambda index: (-scores[index], index))
    by_label = any(label is not None for label in labels)
    positives = [index for index, label in enumerate(labels) if label] if by_label else ranking[:1]
    negatives = [index for index in ranking if index not in set(positives)]
    return Candidates(texts, scores, positives, negatives), by_label
