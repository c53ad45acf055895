"""Score pairs with a model in memory."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Scores = npt.NDArray[np.float32]


class Scorer(Protocol):
    """A model that scores pairs."""

    kind: str

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:
        """Score pair i, (queries[i], candidates[i]), for all i.

        Args:
            queries: one a pair.
            candidates: one a pair.
            task: fills `{task}` in the query prompt.

        Returns:
            raw scores, float32, shape (pairs,).
        """


@runtime_checkable
class EmbeddingScorer(Scorer, Protocol):
    """A model that scores pairs by their embeddings, which may be shortened."""

    def score_shortened(
        self, queries: Sequence[str], candidates: Sequence[str], task: str, dimensions: Sequence[int]
    ) -> list[Scores]:
        """The scores of the whole embeddings, then those of each embedding's first numbers, at unit length.

        Args:
            queries: see `score`.
            candidates: see `score`.
            task: see `score`.
            dimensions: how many first numbers are taken, each for scores of their own.

        Returns:
            1 + dimensions arrays like that of `score`.

        Raises:
            DecantError: the embeddings have fewer numbers.
        """


class CountingScorer(Scorer, Protocol):
    """A scorer that tells what it cuts."""

    def count_cut(self, pairs: Iterable[pa.RecordBatch], task: str = "") -> dict[str, dict[str, Any]]:
        """See `decant.models.kind.ModelKind.count_cut`."""
