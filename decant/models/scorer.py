"""Score pairs with a model in memory."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from sentence_transformers import CrossEncoder, SentenceTransformer

from decant.progress import progress

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
        ...


def batches_by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices in batches of like length, longest first, so that little is padded and memory peaks at once."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


class BiEncoderScorer:
    """The cosine of query and candidate embeddings; each distinct text is encoded once a call.

    Args:
        model: which embeds.
        batch_size: texts a forward pass.
        query_prompt: goes before each query, `{task}` filled in; None means the model's own.
        document_prompt: goes before each candidate; None means the model's own.
    """

    kind = "bi_encoder"

    def __init__(
        self,
        model: SentenceTransformer,
        batch_size: int,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.query_prompt, self.document_prompt = resolve_prompts(model, query_prompt, document_prompt)

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:
        """See `Scorer.score`; texts that are both query and candidate under one prompt are encoded once."""
        query_prompt = self.query_prompt.replace("{task}", task)
        number: dict[tuple[str, str], int] = {}
        left = [number.setdefault((query_prompt, text), len(number)) for text in queries]
        right = [number.setdefault((self.document_prompt, text), len(number)) for text in candidates]
        embeddings = self._encode(list(number))
        scores = np.empty(len(left), dtype=np.float32)
        for start in range(0, len(left), 65536):  # so that the gathered vectors stay small
            block = slice(start, start + 65536)
            scores[block] = np.einsum("ij,ij->i", embeddings[left[block]], embeddings[right[block]])
        return scores

    def _encode(self, prompted: list[tuple[str, str]]) -> Scores:
        embeddings = np.empty((len(prompted), 0), dtype=np.float32)
        with progress(len(prompted), "texts") as bar:
            for batch in batches_by_length([len(text) for _, text in prompted], self.batch_size):
                for prompt in dict.fromkeys(prompted[index][0] for index in batch):
                    chosen = [index for index in batch if prompted[index][0] == prompt]
                    encoded = self.model.encode(
                        [prompted[index][1] for index in chosen],
                        prompt=prompt,
                        batch_size=len(chosen),
                        normalize_embeddings=True,
                        show_progress_bar=False,
                    )
                    if not embeddings.size:
                        embeddings = np.empty((len(prompted), encoded.shape[1]), dtype=np.float32)
                    embeddings[chosen] = encoded
                bar.update(len(batch))
        return embeddings


class CrossEncoderScorer:
    """The raw logit of query and candidate read together; each distinct pair is scored once a call.

    Args:
        model: with one label.
        batch_size: pairs a forward pass.
    """

    kind = "cross_encoder"

    def __init__(self, model: CrossEncoder, batch_size: int) -> None:
        self.model = model
        self.batch_size = batch_size

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:
        """See `Scorer.score`; a cross-encoder has no prompt for the task to fill."""
        del task
        number: dict[tuple[str, str], int] = {}
        position = [number.setdefault(pair, len(number)) for pair in zip(queries, candidates, strict=True)]
        pairs = list(number)
        scores = np.empty(len(pairs), dtype=np.float32)
        with progress(len(pairs), "pairs") as bar:
            for batch in batches_by_length([len(query) + len(text) for query, text in pairs], self.batch_size):
                scores[batch] = self.model.predict(
                    [pairs[index] for index in batch], batch_size=len(batch), show_progress_bar=False
                )
                bar.update(len(batch))
        return scores[position]


def resolve_prompts(
    model: SentenceTransformer, query_prompt: str | None, document_prompt: str | None
) -> tuple[str, str]:
    """The prompts to use: those given, or the model's own."""
    return choose_prompts(model.prompts, query_prompt, document_prompt)


def scorer_of(model: SentenceTransformer | CrossEncoder, batch_size: int) -> Scorer:
    """The scorer of a model in memory, with its own prompts."""
    if isinstance(model, SentenceTransformer):
        return BiEncoderScorer(model, batch_size)
    return CrossEncoderScorer(model, batch_size)


DOCUMENT_PROMPT_NAMES = ("document", "passage", "corpus")


def choose_prompts(own: dict[str, str], query_prompt: str | None, document_prompt: str | None) -> tuple[str, str]:
    """The prompts to use: those given, or the model's own, found as `encode_query` and `encode_document` find them."""
    if query_prompt is None:
        query_prompt = own.get("query") or ""
    if document_prompt is None:
        document_prompt = next((own[name] for name in DOCUMENT_PROMPT_NAMES if name in own), None) or ""
    return query_prompt, document_prompt
