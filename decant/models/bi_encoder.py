"""Bi-encoders: embedding models, whose score is the cosine of query and document."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from torch.nn.functional import normalize

from decant.models.load import limit_length
from decant.models.prompts import choose_prompts
from decant.models.scorer import Scores, batches_by_length
from decant.models.settings import BiEncoderStudent
from decant.models.students import keep_layers
from decant.progress import progress


def load(
    folder: Path,
    *,
    max_length: int | None = None,
    dtype: str = "float32",
    trust_remote_code: bool = False,
) -> SentenceTransformer:
    """Load a sentence-transformers model.

    Args:
        folder: of the model.
        max_length: tokens after which a text is cut; None keeps the model's own.
        dtype: of the weights.
        trust_remote_code: whether code that lies in the folder may run.
    """
    model = SentenceTransformer(
        str(folder),
        model_kwargs={"use_safetensors": True, "dtype": getattr(torch, dtype)},
        trust_remote_code=trust_remote_code,
        local_files_only=True,
    )
    limit_length(model, max_length)
    return model


def make_student(settings: BiEncoderStudent, folder: Path, seed: int) -> SentenceTransformer:
    """The student before training, its prompts saved with it, so that it is used later as it was trained.

    Args:
        settings: its block of params.
        folder: of the model that it is made of.
        seed: of what is drawn: nothing.
    """
    del seed
    model = load(folder, max_length=settings.max_length, trust_remote_code=settings.trust_remote_code)
    query, document = choose_prompts(model.prompts, settings.query_prompt, settings.document_prompt)
    model.prompts = {**model.prompts, "query": query, "document": document}
    if settings.layers is not None:
        keep_layers(model, settings.layers)
    return model


def make_scorer(model: SentenceTransformer, batch_size: int) -> "BiEncoderScorer":
    """The scorer of a model in memory, with its own prompts."""
    return BiEncoderScorer(model, batch_size)


def outputs(model: SentenceTransformer, inputs: dict[str, Tensor]) -> Tensor:
    """Embeddings of length 1, shape (texts, dimension), in float32."""
    return normalize(model(inputs)["sentence_embedding"].float())


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
        self.query_prompt, self.document_prompt = choose_prompts(model.prompts, query_prompt, document_prompt)

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
