"""Indexes that users run, beside the exact search: what each finds of it, its size, and its time for a query.

They are faiss's (https://github.com/facebookresearch/faiss): 8-bit scalars, bits with a second look, and a graph of
neighbours (HNSW, Malkov and Yashunin, arXiv:1603.09320).
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from decant.errors import DecantError
from decant.evaluate.metrics.corpus import DEEPEST
from decant.models.matryoshka import shorten
from decant.models.scorer import Scores
from decant.retrieve.collection import Collection
from decant.retrieve.rerank import WARM_UP, latencies
from decant.retrieve.run import measured
from decant.retrieve.search import Ranking, nearest

NEIGHBOURS, WHEN_BUILT, WHEN_SEARCHED = 32, 200, 256  # of each node of the graph, and how far it is searched
SECOND_LOOK = 4  # times as many documents as are wanted are found by their bits, and looked at again

Places: TypeAlias = npt.NDArray[np.int64]
Search: TypeAlias = Callable[[Scores, int], Places]  # one query, shape (1, dimension), and a number → the best places


def compare_indexes(
    collection: Collection, queries: Scores, documents: Scores, dimensions: Sequence[int], timed: int
) -> dict[str, dict[str, float]]:
    """Compare indexes of one corpus with the exact search.

    Args:
        collection: of the documents and the queries, in this order.
        queries: of unit length, shape (queries, dimension).
        documents: of unit length, shape (documents, dimension), float32.
        dimensions: to which embeddings are shortened for exact searches of their own.
        timed: queries that are timed, in turns.

    Returns:
        index → `recall@10` and `recall@100`, the share of the exact search's documents that it finds; `ndcg@10` by the
        judgements; `bytes`; `p50` and `p95` in milliseconds for one query.

    Raises:
        DecantError: faiss is not installed.
    """
    indexes = _indexes(documents, dimensions)
    depth = DEEPEST + max(map(len, collection.own))
    found = {name: [search(query[None], depth) for query in queries] for name, (search, _) in indexes.items()}
    exact = found["exact"]
    compared: dict[str, dict[str, float]] = {}
    for name, (_, size) in indexes.items():
        rankings = [Ranking(places, -np.arange(len(places), dtype=np.float32)) for places in found[name]]
        ndcg = measured(collection, rankings, DEEPEST).means()["ndcg@10"]
        shares = {f"recall@{count}": _shared(found[name], exact, count) for count in (10, DEEPEST)}
        compared[name] = {**shares, "ndcg@10": ndcg, "bytes": size}
    asked = {text: query[None] for text, query in zip(map(str, range(len(queries))), queries, strict=True)}
    systems = {name: _answer(search, asked) for name, (search, _) in indexes.items()}
    for name, times in latencies(systems, list(asked)[: timed + WARM_UP]).items():
        compared[name] |= times
    return compared


def _answer(search: Search, asked: dict[str, Scores]) -> Callable[[str], object]:
    return lambda query: search(asked[query], DEEPEST)


def _shared(found: Sequence[Places], exact: Sequence[Places], count: int) -> float:
    """The mean share of each query's first exact documents that are among those found."""
    shares = [np.isin(right[:count], some[:count]).mean() for some, right in zip(found, exact, strict=True)]
    return round(float(np.mean(shares)), 6)


def _indexes(documents: Scores, dimensions: Sequence[int]) -> dict[str, tuple[Search, int]]:
    """Each index's search, and its bytes."""
    faiss = load_faiss()
    numbers = documents.shape[1]
    bits = faiss.IndexBinaryFlat(8 * -(-numbers // 8))
    packed = _bits(documents)
    bits.add(packed)
    scalars = faiss.IndexScalarQuantizer(numbers, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    scalars.train(documents)
    graph = faiss.IndexHNSWFlat(numbers, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = WHEN_BUILT, WHEN_SEARCHED
    scalars.add(documents)
    graph.add(documents)

    def by_bits(query: Scores, count: int) -> Places:
        _, [near] = bits.search(_bits(query), min(SECOND_LOOK * count, len(documents)))
        signs = np.unpackbits(packed[near], axis=1, count=numbers).astype(np.float32) * 2 - 1
        again: Places = near[np.argsort(-(signs @ query[0]), kind="stable")][:count]
        return again

    def of(index: Any) -> Search:
        return lambda query, count: index.search(query, min(count, len(documents)))[1][0]

    return {
        "exact": (lambda query, count: nearest(query, documents, count)[0].places, documents.nbytes),
        **{f"exact@{cut}": _shortened(documents, cut) for cut in dimensions},
        "int8": (of(scalars), scalars.code_size * len(documents)),
        "binary": (by_bits, packed.nbytes),
        "hnsw": (of(graph), _size(faiss, graph)),
    }


def _size(faiss: Any, index: Any) -> int:
    """The bytes of an index, written as it is read again: a copy in memory would take as much once more."""
    with tempfile.NamedTemporaryFile() as file:
        faiss.write_index(index, file.name)
        return Path(file.name).stat().st_size


def _shortened(documents: Scores, numbers: int) -> tuple[Search, int]:
    short = shorten(documents, numbers)
    return lambda query, count: nearest(shorten(query, numbers), short, count)[0].places, short.nbytes


def _bits(vectors: Scores) -> npt.NDArray[np.uint8]:
    """The signs of embeddings, a bit each, shape (texts, ⌈dimension / 8⌉)."""
    return np.packbits(vectors > 0, axis=1)


def load_faiss() -> Any:
    """The package faiss, of the extra `index`; a DecantError where it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise DecantError("retrieve.indexes needs faiss, which is not installed", "`pip install '.[index]'`") from error
    return faiss
