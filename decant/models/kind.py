"""What a module of `decant.models` must offer for a kind of model; `decant.kinds` lists the modules."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import pyarrow as pa
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor

from decant.models.scorer import CountingScorer

Model: TypeAlias = SentenceTransformer | CrossEncoder


class ModelKind(Protocol):
    """Loads models of one kind, and scores with them."""

    OUTPUT: str
    """What sentence-transformers calls the output that `outputs` reads."""
    EXAMPLES: Sequence[Any]
    """Two inputs of a model, of different lengths."""

    def load(
        self, folder: Path, *, max_length: int | None = None, dtype: str = "float32", trust_remote_code: bool = False
    ) -> Any:
        """A model in memory. Without a `max_length` in tokens it keeps its own."""

    def make_student(self, settings: Any, folder: Path, seed: int) -> Any:
        """A student before training: the model in a folder, changed as its block of params says; drawn by the seed."""

    def make_scorer(self, model: Any, tokens: int | None, /) -> CountingScorer:
        """Scores pairs with a model in memory, with its own prompts, so many tokens a forward pass.

        See `decant.models.batches.token_budget`.
        """

    def count_cut(self, model: Any, pairs: Iterable[pa.RecordBatch], task: str) -> dict[str, dict[str, Any]]:
        """The texts or pairs that a model cuts, see `decant.models.cuts.count_cut`; the task fills its query prompt.

        Nothing of a model without a tokenizer of transformers, such as a table of static embeddings.
        """

    def outputs(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """From tokens, in float32: embeddings of length 1, shape (texts, dimension), or raw logits, shape (pairs,)."""
