"""BM25, the baseline that costs nothing: no model and no training (Robertson and Zaragoza, 2009).

The scores are bm25s's (https://arxiv.org/abs/2407.03618), with Lucene's formula and Lucene's k1 and b.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from decant.data.words import words

K1, B = 1.2, 0.75


class BM25:
    """An index of a corpus, whose texts are given once each: how often a word stands in them decides its weight."""

    def __init__(self, corpus: Sequence[str]) -> None:
        import bm25s  # and with it numba, where that is installed, which vLLM cannot have in its process when it starts

        self._index = bm25s.BM25(k1=K1, b=B, method="lucene")
        self._index.index([words(text) for text in corpus], show_progress=False)

    @property
    def bytes(self) -> int:
        """What the index takes in memory, its words apart."""
        return sum(array.nbytes for array in self._index.scores.values() if isinstance(array, np.ndarray))

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        """The score of every text of the corpus, shape (texts,); 0 where it shares no word with the query."""
        scores: npt.NDArray[np.float32] = self._index.get_scores_from_ids(self._index.get_tokens_ids(words(query)))
        return scores

    def best(self, query: str, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The places of the texts that score highest, equal scores in the corpus's order, and their scores.

        A text that shares no word with the query is not among them.
        """
        scores = self.scores(query)
        shared = np.flatnonzero(scores > 0)
        if len(shared) > count:
            limit = np.partition(scores[shared], -count)[-count]
            shared = shared[scores[shared] >= limit]
        order = shared[np.argsort(-scores[shared], kind="stable")][:count]
        return order, scores[order]
