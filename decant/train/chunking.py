"""Encode a training batch in parts of similar length: less memory, and less padding where a model keeps it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from decant.models.kind import Model

OUTPUTS = ("sentence_embedding", "scores")
TOKENS = 512  # of a part without a chunk


def encode_in_chunks(model: Model, chunk: int | None) -> None:
    """Make the model's forward pass in training run over parts of the batch, in place; the gradients stay the same.

    The texts or pairs are sorted by length first, and each part is cut to its own longest: a batch in which one text is
    long would otherwise be mostly padding. With a `chunk` of so many texts or pairs this is activation checkpointing
    (Chen et al., arXiv:1604.06174) of parts: memory holds the outputs alone until the backward pass, which calculates
    the activations of one part at a time again. Without, a part has as many texts as make `TOKENS` tokens.

    This replaces the model's `forward` and not the loss's call of it, so that DistributedDataParallel, which wraps the
    model, sees one forward pass and never the recomputation.
    """
    whole = model.forward

    def forward(features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        mask = features["attention_mask"]
        if not torch.is_grad_enabled():
            return whole(features, **kwargs)  # type: ignore[no-any-return]

        def encode(part: dict[str, Any]) -> dict[str, Tensor]:
            output = whole(part, **kwargs)
            return {name: output[name] for name in OUTPUTS if name in output}

        run = partial(checkpoint, encode, use_reentrant=False, preserve_rng_state=True) if chunk else encode
        lengths, order = mask.sum(dim=1).sort(descending=True, stable=True)
        parts = [run(_take(features, rows)) for rows in order.split(_sizes(lengths.tolist(), chunk))]
        back = order.argsort()
        return {**features, **{name: torch.cat([part[name] for part in parts])[back] for name in parts[0]}}

    model.forward = forward


def _sizes(lengths: list[int], chunk: int | None) -> list[int]:
    """How many texts each part has, of texts so long, the longest first."""
    sizes: list[int] = []
    start = 0
    while start < len(lengths):
        sizes.append(min(chunk or max(1, TOKENS // max(1, lengths[start])), len(lengths) - start))
        start += sizes[-1]
    return sizes


def _take(features: Mapping[str, Any], rows: Tensor) -> dict[str, Any]:
    """Some rows of a padded batch, without the columns that are padding in all of them."""
    mask = features["attention_mask"]
    width = int(mask[rows].any(dim=0).nonzero().max()) + 1

    def cut(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.ndim == 0 or len(value) != len(mask):
            return value
        return value[rows, :width] if value.shape[1:2] == mask.shape[1:2] else value[rows]

    return {name: cut(value) for name, value in features.items()}
