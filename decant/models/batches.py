"""Batches by a budget of tokens: enough of them to keep a device busy, whatever the texts' lengths."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

ON_CPU = 2048  # from 512 to 8,192 MiniLM's speed on two cores differs by a fifth at most, with no clear best
ON_GPU = 16384  # an 8B reranker got no faster above 128 pairs of 96 tokens, on one NVIDIA H200
LEAST = 512
SHARE = 0.5  # of a GPU's free memory that one forward pass may take


def token_budget(model: Any, stated: int | None) -> int:
    """The tokens of a forward pass without gradients, padding included.

    Args:
        model: of sentence-transformers or transformers, on its device, with its weights.
        stated: in params; None takes what the device needs, or what fits beside the weights into a GPU's memory.
    """
    if stated is not None:
        return stated
    if model.device.type != "cuda":
        return ON_CPU
    inner = next((part for part in model.modules() if isinstance(part, PreTrainedModel)), None)
    if inner is None:  # such as a table of static embeddings
        return ON_GPU
    free, _ = torch.cuda.mem_get_info(model.device)
    return fitting(free, bytes_a_token(inner.config.get_text_config(), inner.dtype))


def fitting(free: int, each: int) -> int:
    """What a GPU needs, or the largest power of two that fits into a share of so many free bytes, so many a token."""
    most = int(free * SHARE / each)
    return max(LEAST, min(ON_GPU, 1 << most.bit_length() - 1 if most else 0))


def bytes_a_token(config: Any, dtype: torch.dtype) -> int:
    """The peak of a transformer's activations of one layer, per token.

    These are eight vectors of the hidden size (the residual, its norm, queries, keys, values, attention, projection,
    and one to spare), three of the intermediate size (gate, up, and their product), and two of the hidden size that
    norms make in float32.
    """
    hidden = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    return int(dtype.itemsize * (8 * hidden + 3 * inner) + 4 * 2 * hidden)


def by_tokens(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices in batches of like length, longest first, so that little is padded and memory peaks at once.

    Args:
        lengths: in tokens.
        budget: tokens of a batch, each text counted as long as the batch's longest. A longer text is alone.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        size = max(1, budget // max(1, lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def token_counts(model: Any, texts: Sequence[Any]) -> list[int]:
    """The tokens that a model of sentence-transformers reads of each text or pair, special tokens included.

    For a model without a tokenizer of transformers, such as a table of static embeddings, characters stand for them.
    """
    if not texts or (limit := longest(model)) is None:
        return [sum(map(len, text)) for text in texts]  # of a pair its texts', of a text its characters'
    return [min(length, limit) for length in whole_lengths(model, texts)]


def longest(model: Any) -> int | None:
    """The tokens that a model of sentence-transformers reads at most; None without a tokenizer of transformers."""
    if not isinstance(model.tokenizer, PreTrainedTokenizerBase):
        return None
    return model.max_seq_length or 2**31 - 1


def whole_lengths(model: Any, texts: Sequence[Any], *, special: bool = True) -> list[int]:
    """The tokens of each text or pair before any cut, with or without special tokens."""
    options = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
    return list(map(len, model.tokenizer(list(texts), add_special_tokens=special, **options)["input_ids"]))
