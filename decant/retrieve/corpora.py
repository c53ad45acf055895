"""The corpora of a track's test sets, searched by model after model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from decant.data.bm25 import BM25
from decant.data.sets import Row
from decant.models.scorer import Scorer
from decant.retrieve.collection import Collection, collection_of
from decant.retrieve.encoders import Encoder, ModelEncoder, open_embedder
from decant.retrieve.indexes import compare_indexes, load_faiss
from decant.retrieve.rerank import WARM_UP, latencies, rerank
from decant.retrieve.run import Found, Retrieved, retrieve, retrieve_bm25
from decant.retrieve.search import kept_on_device, nearest
from decant.retrieve.settings import Retrieve
from decant.score.settings import StoreSettings
from decant.score.store import Store, Tell
from decant.score.work import store_folder


class Reranker(NamedTuple):
    """A scorer that puts in order what a search finds, and the bytes of its weights."""

    scorer: Scorer
    weights: int


class Corpora:
    """The corpora, and the store that keeps what models make of their texts.

    Args:
        sets: domain → name of the data set, the in-domain one first.
        settings: what is searched, and how deep.
        seed: of the draw of queries.
        store: where embeddings are kept.
        tell: takes what there is to tell of the store.

    Raises:
        DecantError: see `read_collection`.
    """

    def __init__(
        self, sets: Mapping[str, str], settings: Retrieve, seed: int, store: StoreSettings, tell: Tell
    ) -> None:
        if settings.indexes:
            load_faiss()  # which may be missing: that is told before anything is embedded
        self._sets, self._settings, self._shard = sets, settings, store.shard
        self._store = Store(store_folder(store), tell)
        self._collections = {name: collection_of(name, settings, seed) for name in sets.values()}

    def search(self, encoder: Encoder, dimensions: Sequence[int]) -> Found:
        """What a bi-encoder finds, and what its embeddings find that are shortened to each of `dimensions`."""
        with open_embedder(encoder, self._store, self._shard) as embedder:
            top_k = self._settings.top_k
            return self._found(lambda each: retrieve(each, embedder, top_k, dimensions), dimensions)

    def bm25(self) -> Found:
        """What BM25 finds."""
        return self._found(lambda collection: [retrieve_bm25(collection, self._settings.top_k)], ())

    def rerank(self, found: Mapping[str, Found], scorer: Scorer) -> dict[str, Found]:
        """What a scorer makes of that which others have found, by their names; see `decant.retrieve.rerank`."""
        ordered: dict[str, dict[str, dict[str, Retrieved]]] = {name: {} for name in found}
        for domain, dataset in self._sets.items():
            rankings = {name: of.sets[domain][dataset].rankings for name, of in found.items()}
            reranked = rerank(self._collections[dataset], rankings, scorer, self._settings.reranked)
            for name, retrieved in reranked.items():
                ordered[name][domain] = {dataset: retrieved}
        return {name: Found(sets) for name, sets in ordered.items()}

    def timed(self, encoder: ModelEncoder, rerankers: Mapping[str, Reranker], *, bm25: bool) -> dict[str, Any]:
        """What one query of the in-domain set takes of each system, and its memory.

        Args:
            encoder: searches as `after`.
            rerankers: put in order what each search finds, by their names.
            bm25: whether BM25 searches too.

        Returns:
            by `after`, `bm25`, and `<search>+<reranker>`: `p50` and `p95` in milliseconds, and the `bytes` of weights
            and index.
        """
        collection = self._collections[next(iter(self._sets.values()))]
        part = max(collection.split.parts(), key=lambda part: len(part.rows))  # of one task
        texts, most = collection.texts, self._settings.reranked
        systems: dict[str, Callable[[str], np.ndarray[Any, Any]]] = {}
        sizes: dict[str, int] = {}
        if bm25:
            index = BM25(texts)
            systems["bm25"], sizes["bm25"] = lambda query: index.best(query, most)[0], index.bytes
        with (
            open_embedder(encoder, self._store, self._shard) as embedder,
            embedder.embedded("document", texts, part.task) as kept,
        ):
            documents = kept_on_device(np.array(kept))
        systems["after"] = lambda query: nearest(encoder.embed("query", [query], part.task), documents, most)[0].places
        sizes["after"] = encoder.weights + documents.nbytes
        for search in list(systems):
            for name, reranker in rerankers.items():
                systems[f"{search}+{name}"] = _in_a_row(systems[search], texts, reranker.scorer, part.task)
                sizes[f"{search}+{name}"] = sizes[search] + reranker.weights
        asked: list[Row] = part.rows[: self._settings.timed + WARM_UP]
        taken = latencies(systems, [row.query for row in asked])
        return {name: {**times, "bytes": sizes[name]} for name, times in taken.items()}

    def indexes(self, encoder: ModelEncoder, dimensions: Sequence[int]) -> dict[str, Any]:
        """Indexes of the in-domain corpus beside the exact search; see `decant.retrieve.indexes.compare_indexes`."""
        collection = self._collections[next(iter(self._sets.values()))]
        with open_embedder(encoder, self._store, self._shard) as embedder:
            parts = []
            for part in collection.split.parts():
                with embedder.embedded("query", [row.query for row in part.rows], part.task) as asked:
                    parts.append(np.array(asked))
            with embedder.embedded("document", collection.texts, str(collection.split.task)) as kept:
                documents = np.array(kept)
        return compare_indexes(collection, np.concatenate(parts), documents, dimensions, self._settings.timed)

    def _found(self, search: Callable[[Collection], list[Retrieved]], dimensions: Sequence[int]) -> Found:
        found: dict[str, dict[str, Retrieved]] = {}
        for domain, dataset in self._sets.items():
            names = [dataset, *(f"{dataset}@{numbers}" for numbers in dimensions)]
            found[domain] = dict(zip(names, search(self._collections[dataset]), strict=True))
        return Found(found)


def _in_a_row(
    search: Callable[[str], np.ndarray[Any, Any]], texts: Sequence[str], scorer: Scorer, task: str
) -> Callable[[str], np.ndarray[Any, Any]]:
    def answer(query: str) -> np.ndarray[Any, Any]:
        places = search(query)
        found = [texts[place] for place in places]
        return places[np.argsort(-scorer.score([query] * len(found), found, task))] if found else places

    return answer
