"""Score pairs with a model in memory."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

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


class CountingScorer(Scorer, Protocol):
    """A scorer that tells what it cuts."""

    def count_cut(self, pairs: Iterable[pa.RecordBatch], task: str = "") -> dict[str, dict[str, Any]]:
        """See `decant.models.kind.ModelKind.count_cut`."""
