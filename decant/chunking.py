"""Train with little memory: encode a batch in chunks, and recompute each chunk's activations in the backward pass."""

from collections.abc import Mapping
from typing import Any

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor
from torch.utils.checkpoint import checkpoint

OUTPUTS = ("sentence_embedding", "scores")


def encode_in_chunks(model: SentenceTransformer | CrossEncoder, chunk: int) -> None:
    """Make the model's forward pass in training run over `chunk` texts or pairs at a time, in place.

    Activation checkpointing (Chen et al., arXiv:1604.06174) at the level of a chunk: what is held between the forward
    and the backward pass is the outputs alone, and the activations of one chunk come back, and go, at a time. The
    gradients are those of the whole batch. Forward passes without gradients are as they were.

    The model's own `forward` is replaced, not the loss's call of it, so that DistributedDataParallel, which wraps the
    model, sees one forward pass and never the recomputation.

    Args:
        model: the student.
        chunk: texts or pairs at a time.
    """
    whole = model.forward

    def forward(features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        if not torch.is_grad_enabled():
            return whole(features, **kwargs)  # type: ignore[no-any-return]

        def encode(part: dict[str, Any]) -> dict[str, Tensor]:
            output = whole(part, **kwargs)
            return {name: output[name] for name in OUTPUTS if name in output}

        count = len(features["attention_mask"])
        parts = [
            checkpoint(encode, _rows(features, start, start + chunk), use_reentrant=False, preserve_rng_state=True)
            for start in range(0, count, chunk)
        ]
        return {**features, **{name: torch.cat([part[name] for part in parts]) for name in parts[0]}}

    model.forward = forward


def _rows(features: Mapping[str, Any], start: int, stop: int) -> dict[str, Any]:
    """A batch's rows from `start` to `stop`, without the columns that are padding in all of them."""
    mask = features["attention_mask"]
    width = int(mask[start:stop].any(dim=0).nonzero().max()) + 1

    def cut(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != len(mask):
            return value
        return value[start:stop, :width] if value.shape[1:2] == mask.shape[1:2] else value[start:stop]

    return {name: cut(value) for name, value in features.items()}
