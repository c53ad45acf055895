"""BM25 as a baseline."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from decant.data.bm25 import BM25
from decant.models.scorer import Scores


class BM25Scorer:
    """Scores pairs by BM25, in a corpus of all candidates that one call names."""

    kind = "bm25"

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:
        """See `decant.models.scorer.Scorer.score`."""
        del task
        place = {text: number for number, text in enumerate(dict.fromkeys(candidates))}
        index = BM25(list(place))
        scores = np.empty(len(queries), dtype=np.float32)
        pairs: dict[str, list[int]] = {}
        for pair, query in enumerate(queries):
            pairs.setdefault(query, []).append(pair)
        for query, numbers in pairs.items():
            scores[numbers] = index.scores(query)[[place[candidates[number]] for number in numbers]]
        return scores

    def count_cut(self, pairs: Iterable[pa.RecordBatch], task: str = "") -> dict[str, dict[str, Any]]:
        """Nothing: BM25 reads texts whole."""
        del pairs, task
        return {}
