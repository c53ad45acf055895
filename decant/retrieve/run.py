"""Search a corpus with a model: rankings, their measures by query, and their means."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.bm25 import BM25
from decant.data.digests import trec_id
from decant.evaluate.metrics.corpus import MEASURES, query_measures
from decant.files import atomic_file
from decant.models.matryoshka import shorten
from decant.retrieve.collection import Collection
from decant.retrieve.encoders import Embedder
from decant.retrieve.search import Ranking, nearest

COLUMNS = [
    *((name, pa.string()) for name in ("domain", "dataset", "query_id", "query")),
    ("documents", pa.list_(pa.string())),
    ("scores", pa.list_(pa.float32())),
    ("searched", pa.int64()),
    *((name, pa.float64()) for name in MEASURES),
]


@dataclass(frozen=True)
class Retrieved:
    """The rankings of all queries of a collection, and every measure of each."""

    collection: Collection
    rankings: list[Ranking]
    measures: list[dict[str, float]]

    def means(self) -> dict[str, float]:
        """The mean of each measure over the queries, to 6 decimals."""
        return {name: round(float(np.mean([query[name] for query in self.measures])), 6) for name in MEASURES}

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each query with its ranking, documents by their ids, how many were searched, and its measures.

        A candidate of the query has the id that its row gives, since one text may have several.
        """
        of = self.collection
        for row, ranking, measures in zip(of.split.rows, self.rankings, self.measures, strict=True):
            own = dict(zip(row.candidates, row.ids or [""] * len(row.candidates), strict=True))
            found = [(of.ids[place], of.texts[place]) for place in ranking.places]
            yield {
                "query_id": trec_id(row.query_id, row.query),
                "query": row.query,
                "documents": [trec_id(own.get(text, identifier), text) for identifier, text in found],
                "scores": ranking.scores.tolist(),
                "searched": len(of.texts),
                **measures,
            }


def retrieve(collection: Collection, embedder: Embedder, top_k: int, dimensions: Sequence[int]) -> list[Retrieved]:
    """Rank a corpus by a bi-encoder's embeddings, and by their first numbers for each of `dimensions`.

    Args:
        collection: queries and corpus.
        embedder: of the bi-encoder.
        top_k: documents of each ranking that are kept.
        dimensions: to which embeddings are shortened for rankings of their own, after the whole ones'.
    """
    depth = _depth(collection, top_k)
    found: list[list[Ranking]] = [[] for _ in range(1 + len(dimensions))]
    with embedder.embedded("document", collection.texts, str(collection.split.task)) as documents:
        for part in collection.split.parts():
            with embedder.embedded("query", [row.query for row in part.rows], part.task) as asked:
                queries = np.asarray(asked, dtype=np.float32)
                found[0] += nearest(queries, documents, depth)
            for rankings, numbers in zip(found[1:], dimensions, strict=True):
                rankings += nearest(shorten(queries, numbers), documents, depth, numbers)
    return [measured(collection, rankings, top_k) for rankings in found]


def retrieve_bm25(collection: Collection, top_k: int) -> Retrieved:
    """Rank a corpus by BM25."""
    index, depth = BM25(collection.texts), _depth(collection, top_k)
    rankings = [Ranking(*index.best(row.query, depth)) for row in collection.split.rows]
    return measured(collection, rankings, top_k)


def _depth(collection: Collection, top_k: int) -> int:
    """How many documents leave `top_k` when the queries themselves are passed over."""
    return top_k + max(map(len, collection.own))


def measured(collection: Collection, rankings: Sequence[Ranking], top_k: int) -> Retrieved:
    """Pass over the queries themselves in their rankings, keep the best `top_k` of each, and measure them."""
    kept, measures = list[Ranking](), list[dict[str, float]]()
    judged = zip(rankings, collection.own, collection.gains, collection.relevant, strict=True)
    for (places, scores), own, gains, relevant in judged:
        answers = ~np.isin(places, list(own - gains.keys()))
        kept.append(Ranking(places[answers][:top_k], scores[answers][:top_k]))
        measures.append(query_measures(kept[-1].places.tolist(), gains, relevant))
    return Retrieved(collection, kept, measures)


class Found:
    """What one model finds: domain → name of the data set → what was retrieved.

    What shortened embeddings find is named `<name>@<numbers>`.
    """

    def __init__(self, sets: Mapping[str, Mapping[str, Retrieved]]) -> None:
        self.sets = sets

    def means(self) -> dict[str, dict[str, dict[str, float]]]:
        """domain → name of the data set → measure → mean."""
        return {domain: {name: of.means() for name, of in sets.items()} for domain, sets in self.sets.items()}

    def write(self, path: Path, tell: Callable[[str], None]) -> dict[str, dict[str, dict[str, float]]]:
        """Write the rankings as Parquet, a row a query; tell and return the means."""
        rows: list[dict[str, Any]] = []
        for domain, sets in self.sets.items():
            for dataset, retrieved in sets.items():
                rows += ({"domain": domain, "dataset": dataset, **row} for row in retrieved.rows())
        with atomic_file(path) as partial:
            pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(COLUMNS)), partial, compression="zstd")
        means = self.means()
        tell(f"{path.stem}: {means}")
        return means
