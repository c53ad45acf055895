"""Bi-encoders: embedding models, whose score is the cosine of query and document."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from torch import Tensor
from torch.nn.functional import normalize

from decant.models.load import load_sentence_transformers
from decant.models.prompts import choose_prompts
from decant.models.scorer import Scores, batches_by_length
from decant.models.settings import BiEncoderStudent
from decant.models.students import keep_layers
from decant.progress import progress


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
    return normalize(model(inputs)["sentence_embedding"].float())


class BiEncoderScorer:
    """The cosine of query and candidate embeddings; each distinct text is encoded once a call.

    Args:
        model: which embeds.
        batch_size: texts a forward pass.
    """

    kind = "bi_encoder"

    def __init__(self, model: SentenceTransformer, batch_size: int) -> None:
        self.model, self.batch_size = model, batch_size
        self.query_prompt, self.document_prompt = choose_prompts(model.prompts)

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


make_scorer = BiEncoderScorer
