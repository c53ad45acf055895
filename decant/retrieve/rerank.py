"""Two students in a row: what one finds in a corpus, the other puts in order."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from decant.models.scorer import Scorer, Scores
from decant.retrieve.collection import Collection
from decant.retrieve.run import Retrieved, measured
from decant.retrieve.search import Ranking

WARM_UP = 3  # queries that are not timed


def rerank(
    collection: Collection, found: Mapping[str, Sequence[Ranking]], scorer: Scorer, top_k: int
) -> dict[str, Retrieved]:
    """Put the first documents of each ranking in the order of a scorer; the others stay behind them.

    Args:
        collection: what was searched.
        found: by the name of what searched: the rankings of all queries.
        scorer: which scores each pair of a query and a document once, however many rankings have it.
        top_k: documents of each ranking that are scored.

    Returns:
        by the same names, what comes out; a document that was scored has its score, another one minus infinity.
    """
    ordered: dict[str, list[Ranking]] = {name: [] for name in found}
    first = 0
    for part in collection.split.parts():
        queries, documents = list[str](), list[str]()
        pairs: dict[tuple[int, int], int] = {}
        for number, row in enumerate(part.rows, start=first):
            for rankings in found.values():
                for place in rankings[number].places[:top_k].tolist():
                    if pairs.setdefault((number, place), len(pairs)) == len(queries):
                        queries.append(row.query)
                        documents.append(collection.texts[place])
        scores = scorer.score(queries, documents, part.task)
        for number in range(first, first + len(part.rows)):
            for name, rankings in found.items():
                ordered[name].append(_ordered(rankings[number], number, pairs, scores, top_k))
        first += len(part.rows)
    return {name: measured(collection, of, max(len(each.places) for each in of)) for name, of in ordered.items()}


def _ordered(
    ranking: Ranking, number: int, pairs: Mapping[tuple[int, int], int], scores: Scores, top_k: int
) -> Ranking:
    head, rest = ranking.places[:top_k], ranking.places[top_k:]
    own = scores[np.array([pairs[number, place] for place in head.tolist()], np.int64)]
    order = np.argsort(-own, kind="stable")
    behind: Scores = np.full(len(rest), -np.inf, np.float32)
    return Ranking(np.concatenate([head[order], rest]), np.concatenate([own[order], behind]))


def latencies(systems: Mapping[str, Callable[[str], object]], queries: Sequence[str]) -> dict[str, dict[str, float]]:
    """How long each system takes for one query, in milliseconds: `p50` and `p95` over the queries.

    The systems take turns at each query, so that what slows the machine down slows all of them. The first queries warm
    up, and are not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in systems}
    for query in queries:
        for name, answer in systems.items():
            start = time.perf_counter()
            answer(query)
            taken[name].append(1000 * (time.perf_counter() - start))
    counted = {name: times[min(WARM_UP, len(times) - 1) :] for name, times in taken.items()}
    return {
        name: {f"p{share}": round(float(np.percentile(times, share)), 3) for share in (50, 95)}
        for name, times in counted.items()
    }
