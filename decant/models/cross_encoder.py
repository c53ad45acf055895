"""Cross-encoders, which read query and document together; their score is the raw logit."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from sentence_transformers import CrossEncoder
from torch import Tensor, nn

from decant.errors import DecantError
from decant.files import read_json
from decant.models import cuts
from decant.models.batches import by_tokens, longest, token_budget, token_counts, whole_lengths
from decant.models.load import load_sentence_transformers, transformer_of
from decant.models.scorer import Scores
from decant.models.settings import CrossEncoderStudent
from decant.models.students import keep_layers
from decant.progress import progress

OUTPUT = "scores"
EXAMPLES: Sequence[Any] = (("a query", "a document"), ("another", "a document that is longer than the first one"))


def load(
    folder: Path,
    *,
    max_length: int | None = None,
    fresh_head: bool = False,
    dtype: str = "float32",
    trust_remote_code: bool = False,
) -> CrossEncoder:
    """Load a cross-encoder with one raw logit as its score (no sigmoid); see `ModelKind.load`.

    With `fresh_head` a head that the folder does not have may be added, with random weights.

    Raises:
        DecantError: the folder's model has no head, and none may be added; or it scores in another way than by one
            logit of query and document.
    """
    if not fresh_head and not has_head(folder):
        architectures = read_json(folder / "config.json").get("architectures") or ["the model"]
        raise DecantError(
            f"{folder}: {architectures[0]} has no classification head to keep",
            "name a cross-encoder, or set the student's `head` to `fresh`",
        )
    raw = {"num_labels": 1, "activation_fn": nn.Identity()}
    model = load_sentence_transformers(CrossEncoder, folder, max_length, dtype, trust_remote_code, **raw)
    if model.num_labels != 1:
        raise DecantError(
            f"{folder}: the model has {model.num_labels} labels, and a score is one logit",
            "name a cross-encoder that has one label",
        )
    if model.default_prompt_name is not None:
        raise DecantError(
            f"{folder}: the model puts its prompt {model.default_prompt_name!r} before texts, and pairs have none here",
            "name a cross-encoder without `default_prompt_name` in its config_sentence_transformers.json",
        )
    return model


def has_head(folder: Path) -> bool:
    """Whether a model's folder has a head that gives scores.

    It is a part of the transformer (...ForSequenceClassification), or a module of sentence-transformers behind it
    (https://sbert.net/docs/cross_encoder/usage/custom_models.html), such as the last Dense of Ettin's rerankers.
    """
    if has_inner_head(folder):
        return True
    listed = folder / "modules.json"
    paths = [folder / module["path"] / "config.json" for module in read_json(listed)] if listed.is_file() else []
    return any(read_json(path).get("module_output_name") == "scores" for path in paths[1:] if path.is_file())


def has_inner_head(folder: Path) -> bool:
    """Whether the head of a model's folder is a part of the transformer."""
    architectures = read_json(folder / "config.json").get("architectures") or [""]
    return bool(architectures[0].endswith("ForSequenceClassification"))


def make_student(settings: CrossEncoderStudent, folder: Path, seed: int) -> CrossEncoder:
    """The student before training, with its fresh or published head."""
    fresh = settings.fresh_head
    model = load(folder, max_length=settings.max_length, fresh_head=fresh, trust_remote_code=settings.trust_remote_code)
    if fresh:
        initialise_head(model, seed)
    if settings.layers is not None:
        keep_layers(model, settings.layers)
    return model


def outputs(model: CrossEncoder, inputs: dict[str, Tensor]) -> Tensor:
    """Raw logits, shape (pairs,), in float32."""
    logits: Tensor = model(dict(inputs))[OUTPUT][:, 0]  # a copy: each module adds its outputs to what it is given
    return logits.float()


def count_cut(model: CrossEncoder, pairs: Iterable[pa.RecordBatch], task: str) -> dict[str, dict[str, Any]]:
    """See `ModelKind.count_cut`; a cross-encoder has no prompt for the task to fill."""
    del task
    if (limit := longest(model)) is None:
        return {}
    special = {"query": model.tokenizer.num_special_tokens_to_add(pair=True), "document": 0}

    def lengths(role: str, texts: Sequence[str]) -> list[int]:
        return [length + special[role] for length in whole_lengths(model, texts, special=False)]

    return cuts.count_cut(pairs, lengths, limit, of_texts=False)


def initialise_head(model: CrossEncoder, seed: int) -> None:
    """Draw the head's weights anew, in place: normal with the backbone's initial deviation, biases zero, norms one.

    Raises:
        DecantError: the model has no head by a known name.
    """
    transformer = transformer_of(model)
    inside = [module for name, module in transformer.named_children() if name in ("classifier", "score")]
    heads = inside or [module for module in list(model)[1:] if next(module.parameters(), None) is not None]
    if not heads:
        raise DecantError(f"student.head: no head was found in {type(transformer).__name__}", "set `head` to `keep`")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in itertools.chain.from_iterable(head.modules() for head in heads):
            for parameter in module.parameters(recurse=False):
                values = torch.zeros(parameter.shape)
                if parameter.ndim > 1:
                    values.normal_(0, transformer.config.initializer_range, generator=generator)
                parameter.copy_(values)
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()


class CrossEncoderScorer:
    """The raw logit of query and candidate read together; each distinct pair is scored once a call.

    Args:
        model: with one label.
        tokens: of a forward pass; see `decant.models.batches.token_budget`.
    """

    kind = "cross_encoder"

    def __init__(self, model: CrossEncoder, tokens: int | None) -> None:
        self.model, self.budget = model, token_budget(model, tokens)

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:  # noqa: ARG002
        """See `Scorer.score`; a cross-encoder has no prompt for the task to fill."""
        number: dict[tuple[str, str], int] = {}
        position = [number.setdefault(pair, len(number)) for pair in zip(queries, candidates, strict=True)]
        pairs = list(number)
        scores = np.empty(len(pairs), dtype=np.float32)
        with progress(len(pairs), "pairs") as bar:
            for batch in by_tokens(token_counts(self.model, pairs), self.budget):
                scores[batch] = self.model.predict(
                    [pairs[index] for index in batch], batch_size=len(batch), show_progress_bar=False
                )
                bar.update(len(batch))
        return scores[position]

    def count_cut(self, pairs: Iterable[pa.RecordBatch], task: str = "") -> dict[str, dict[str, Any]]:
        """See `ModelKind.count_cut`."""
        return count_cut(self.model, pairs, task)


make_scorer = CrossEncoderScorer
