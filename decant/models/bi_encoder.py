"""Bi-encoders: embedding models, whose score is the cosine of query and document."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sentence_transformers import SentenceTransformer
from torch import Tensor
from torch.nn.functional import normalize

from decant.models import cuts
from decant.models.batches import by_tokens, longest, token_budget, token_counts, whole_lengths
from decant.models.load import load_sentence_transformers
from decant.models.matryoshka import shorten
from decant.models.prompts import choose_prompts
from decant.models.scorer import Scores
from decant.models.settings import BiEncoderStudent
from decant.models.students import keep_layers
from decant.progress import progress

OUTPUT = "sentence_embedding"
EXAMPLES: Sequence[Any] = ("a text", "another text, which is longer than the first one")


def load(
    folder: Path, *, max_length: int | None = None, dtype: str = "float32", trust_remote_code: bool = False
) -> SentenceTransformer:
    """See `ModelKind.load`."""
    return load_sentence_transformers(SentenceTransformer, folder, max_length, dtype, trust_remote_code)


def make_student(settings: BiEncoderStudent, folder: Path, seed: int) -> SentenceTransformer:  # noqa: ARG001
    """The student before training, its prompts saved with it, so that it is used later as it was trained."""
    model = load(folder, max_length=settings.max_length, trust_remote_code=settings.trust_remote_code)
    query, document = choose_prompts(model.prompts, settings.query_prompt, settings.document_prompt)
    model.prompts = {**model.prompts, "query": query, "document": document}
    if settings.layers is not None:
        keep_layers(model, settings.layers)
    return model


def outputs(model: SentenceTransformer, inputs: dict[str, Tensor]) -> Tensor:
    """Embeddings of length 1, shape (texts, dimension), in float32."""
    return normalize(model(inputs)[OUTPUT].float())


def count_cut(model: SentenceTransformer, pairs: Iterable[pa.RecordBatch], task: str) -> dict[str, dict[str, Any]]:
    """See `ModelKind.count_cut`."""
    if (limit := longest(model)) is None:
        return {}
    query, document = choose_prompts(model.prompts)
    prompts = {"query": query.replace("{task}", task), "document": document}

    def lengths(role: str, texts: Sequence[str]) -> list[int]:
        return whole_lengths(model, [prompts[role] + text for text in texts])

    return cuts.count_cut(pairs, lengths, limit, of_texts=True)


def embed(
    model: SentenceTransformer, texts: Sequence[str], prompt: str, budget: int, done: Callable[[int], object]
) -> Scores:
    """Embed texts in batches of like length.

    Args:
        model: which embeds.
        texts: at least one.
        prompt: goes before each.
        budget: tokens of a batch; see `decant.models.batches.token_budget`.
        done: is told how many texts each batch had.

    Returns:
        embeddings of length 1, float32, shape (texts, dimension).
    """
    embeddings: Scores = np.empty((len(texts), 0), dtype=np.float32)
    for batch in by_tokens(token_counts(model, [prompt + text for text in texts]), budget):
        encoded = model.encode(
            [texts[index] for index in batch],
            prompt=prompt,
            batch_size=len(batch),
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        if not embeddings.size:
            embeddings = np.empty((len(texts), encoded.shape[1]), dtype=np.float32)
        embeddings[batch] = encoded
        done(len(batch))
    return embeddings


def _products(embeddings: Scores, left: Sequence[int], right: Sequence[int]) -> Scores:
    """The inner products of rows left[i] and right[i], shape (pairs,)."""
    scores = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), 65536):  # so that the gathered vectors stay small
        block = slice(start, start + 65536)
        scores[block] = np.einsum("ij,ij->i", embeddings[left[block]], embeddings[right[block]])
    return scores


class BiEncoderScorer:
    """The cosine of query and candidate embeddings; each distinct text is encoded once a call.

    Args:
        model: which embeds.
        tokens: of a forward pass; see `decant.models.batches.token_budget`.
    """

    kind = "bi_encoder"

    def __init__(self, model: SentenceTransformer, tokens: int | None) -> None:
        self.model, self.budget = model, token_budget(model, tokens)
        self.query_prompt, self.document_prompt = choose_prompts(model.prompts)

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:
        """See `Scorer.score`; texts that are both query and candidate under one prompt are encoded once."""
        return self.score_shortened(queries, candidates, task, ())[0]

    def score_shortened(
        self, queries: Sequence[str], candidates: Sequence[str], task: str, dimensions: Sequence[int]
    ) -> list[Scores]:
        """See `EmbeddingScorer.score_shortened`; whatever the dimensions, each text is encoded once."""
        query_prompt = self.query_prompt.replace("{task}", task)
        number: dict[tuple[str, str], int] = {}
        left = [number.setdefault((query_prompt, text), len(number)) for text in queries]
        right = [number.setdefault((self.document_prompt, text), len(number)) for text in candidates]
        whole = self._encode(list(number))
        shortened = (shorten(whole, dimension) for dimension in dimensions)
        return [_products(embeddings, left, right) for embeddings in chain([whole], shortened)]

    def count_cut(self, pairs: Iterable[pa.RecordBatch], task: str = "") -> dict[str, dict[str, Any]]:
        """See `ModelKind.count_cut`."""
        return count_cut(self.model, pairs, task)

    def _encode(self, prompted: list[tuple[str, str]]) -> Scores:
        parts, order = [], []
        with progress(len(prompted), "texts") as bar:
            for prompt in dict.fromkeys(prompt for prompt, _ in prompted):
                numbers = [number for number, (before, _) in enumerate(prompted) if before == prompt]
                texts = [prompted[number][1] for number in numbers]
                parts.append(embed(self.model, texts, prompt, self.budget, bar.update))
                order += numbers
        return np.concatenate(parts)[np.argsort(order)]


make_scorer = BiEncoderScorer
