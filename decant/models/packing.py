"""Run a transformer over the tokens of a batch laid end to end: no layer computes padding.

The model's inputs and outputs stay padded, so tokenizers, poolings and heads work as they are. In between, attention
needs no mask. On a GPU it is one kernel for texts of any lengths: FlashAttention (Dao, arXiv:2307.08691) in half
precision, memory-efficient attention (Rabe and Staats, arXiv:2112.05682) in float32. cuDNN, which plans anew for every
shape, is never asked. Elsewhere texts of equal length share one call, sorted so that they are neighbours.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

IMPLEMENTATION = "decant_packed"
HALF = (torch.bfloat16, torch.float16)
CAUSAL_FROM_BOTTOM_RIGHT = 2  # torch's custom_mask_type of memory-efficient attention
# Of a trial's outputs, relative. In half precision a large model's layers add up what two kernels round differently;
# attention that reaches over a text's end moves outputs by far more.
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.05}


@dataclass(frozen=True)
class Layout:
    """Texts laid end to end, the longest first. A text's queries are its own tokens, its keys those that it reads."""

    queries: list[int]  # tokens of each text
    keys: list[int]  # tokens that each text attends to, its own last
    cumulative_queries: Tensor  # int32, shape (texts + 1,)
    cumulative_keys: Tensor  # int32, shape (texts + 1,)
    key_rows: Tensor | None  # the rows of the keys, shape (sum of keys,); None where they are the queries'
    rows: Tensor | None = None  # of the tokens in the flattened batch, shape (tokens,)
    shape: tuple[int, int] | None = None  # of the padded batch; None where nothing is to be padded again

    @classmethod
    def of_mask(cls, mask: Tensor) -> "Layout":
        """Of a padded batch, by its mask of shape (texts, longest)."""
        on_cpu = mask.cpu()  # the one wait for the device: what follows is calculated here
        lengths, order = on_cpu.sum(dim=1).sort(descending=True, stable=True)
        places = torch.arange(mask.shape[1]) + (order * mask.shape[1])[:, None]
        rows = places[on_cpu[order] > 0].to(mask.device, non_blocking=True)
        counts = [length for length in lengths.tolist() if length]
        ends = cumulative(counts, mask.device)
        return cls(counts, counts, ends, ends, None, rows, (mask.shape[0], mask.shape[1]))


def cumulative(counts: Sequence[int], device: torch.device) -> Tensor:
    """0 and the running sums, int32, shape (counts + 1,)."""
    return torch.tensor([0, *itertools.accumulate(counts)], dtype=torch.int32, device=device)


def pack(model: Any) -> bool:
    """Make a model of transformers skip its padding, in place, if that changes nothing but time.

    Args:
        model: with or without a head. Inputs that have an `attention_mask` of shape (texts, longest) are packed.

    Returns:
        Whether the model does. One that keeps padding computes attention in its own code, reads more than a token's
        own text and place (sliding windows, position biases), or has given other outputs in a trial of three texts.
    """
    base = model.base_model
    if not getattr(base, "is_backend_compatible", lambda: False)():
        return False
    if packs(model):
        return True
    before = model.config._attn_implementation
    ids, mask = trial_batch(model)
    dtypes = {model.dtype, torch.bfloat16} if model.device.type == "cuda" else {model.dtype}
    padded = {dtype: _trial(base, ids, mask, dtype) for dtype in dtypes}
    model.set_attn_implementation(IMPLEMENTATION)
    base.forward = MethodType(_packed_forward, base)  # no hook: sentence-transformers calls `forward` itself
    encoder = getattr(base, "encoder", None)  # where there is one, a pooler may follow it
    hook = encoder.register_forward_hook(_pad_encoder, with_kwargs=True) if encoder is not None else None
    try:
        if all(agree(_trial(base, ids, mask, dtype), hidden, dtype) for dtype, hidden in padded.items()):
            return True
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        pass  # the model has no room for the layout, or the device no such kernel
    del base.forward
    if hook is not None:
        hook.remove()
    model.set_attn_implementation(before)
    return False


def packs(model: Any) -> bool:
    """Whether a model of transformers skips its padding."""
    return bool(model.config._attn_implementation == IMPLEMENTATION)


def unpack(model: Any) -> None:
    """Undo `pack`, in place: padding is computed again, by torch's own attention."""
    if packs(model):
        del model.base_model.forward
        model.set_attn_implementation("sdpa")


def trial_batch(model: Any) -> tuple[Tensor, Tensor]:
    """Ids and mask of three texts, of which two begin alike; shape (3, 7)."""
    config = model.config.get_text_config()
    ids = torch.arange(5, 26, device=model.device).view(3, 7) % config.vocab_size
    ids[2, :4] = ids[1, :4]
    mask = torch.tensor([[1] * 3 + [0] * 4, [1] * 7, [1] * 5 + [0] * 2], device=model.device)
    return ids.where(mask > 0, config.pad_token_id or 0), mask


def agree(outputs: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    """Whether a trial's outputs are those of the padded batch, up to rounding."""
    return bool((outputs - expected).norm() <= TOLERANCES[dtype] * expected.norm())


@torch.no_grad()
def _trial(base: nn.Module, ids: Tensor, mask: Tensor, dtype: torch.dtype) -> Tensor:
    """The hidden states of the real tokens, float32, without dropout."""
    training = base.training
    base.eval()
    try:
        with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=dtype != base.dtype):
            hidden: Tensor = base(input_ids=ids, attention_mask=mask).last_hidden_state
    finally:
        base.train(training)
    return hidden[mask > 0].float()


def _packed_forward(
    self: Any, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **options: Any
) -> Any:
    """The class's forward pass, over the tokens laid end to end where there is a mask of padding."""
    forward = type(self).forward
    tokens_alone = input_ids is not None and attention_mask is not None and attention_mask.shape == input_ids.shape
    wants_layers = options.get("output_hidden_states") or self.config.output_hidden_states
    if not tokens_alone or wants_layers:
        return forward(self, input_ids=input_ids, attention_mask=attention_mask, **options)
    assert attention_mask is not None
    layout = Layout.of_mask(attention_mask)
    if options.get("position_ids") is None:
        options["position_ids"] = attention_mask.cumsum(dim=1) - 1 + _first_position(self)
    flat = {"input_ids": input_ids, **options}
    for name in ("input_ids", "position_ids", "token_type_ids"):
        if flat.get(name) is not None:
            flat[name] = flat[name].expand(attention_mask.shape).reshape(-1)[layout.rows][None]
    output = forward(self, **flat, packed=layout)
    return output if hasattr(self, "encoder") else _pad(layout, output)


def _first_position(base: nn.Module) -> int:
    """RoBERTa's models count positions from behind the padding token's number."""
    embeddings = getattr(base, "embeddings", None)
    padding = getattr(embeddings, "padding_idx", None)
    return padding + 1 if isinstance(padding, int) and hasattr(embeddings, "position_embeddings") else 0


def _pad_encoder(_: nn.Module, __: tuple[Any, ...], options: dict[str, Any], output: Any) -> Any:
    layout: Layout | None = options.get("packed")
    return None if layout is None or layout.rows is None else _pad(layout, output)


def _pad(layout: Layout, output: Any) -> Any:
    """Put the hidden states where the tokens were; what was padding is zero."""
    assert layout.rows is not None
    assert layout.shape is not None
    hidden = output[0][0]
    texts, longest = layout.shape
    padded = hidden.new_zeros(texts * longest, hidden.shape[1]).index_copy(0, layout.rows, hidden)
    output["last_hidden_state"] = padded.view(texts, longest, -1)
    return output


def packed_mask(*arguments: Any, attention_mask: Tensor | None = None, **options: Any) -> Tensor | None:
    """The mask of a batch that has padding, as torch's attention wants it; None for texts laid end to end."""
    if attention_mask is None:
        return None
    mask: Tensor | None = sdpa_mask(*arguments, attention_mask=attention_mask, **options)
    return mask


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed: Layout | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention within each text, as transformers calls it.

    Args:
        module: the layer.
        query: shape (1, heads, tokens, dimension).
        key: shape (1, key heads, tokens, dimension).
        value: shape (1, key heads, tokens, dimension).
        attention_mask: of a batch that has padding.
        dropout: of the weights.
        scaling: of the products; None is one over the root of the dimension.
        packed: where the texts lie; None where they lie in a batch.
        is_causal: whether a token reads those before it alone; None takes the layer's own way.
        others: of which no model that `pack` lets through sets one that changes attention.

    Returns:
        shape (1, tokens, heads, dimension), and None for the weights.

    Raises:
        NotImplementedError: the layer asks for a window or a bias.
    """
    changing = ("sliding_window", "softcap", "s_aux", "position_bias", "head_mask")
    if any(others.get(name) is not None for name in changing):
        raise NotImplementedError("packed attention reads a text's tokens, all or those before")
    if packed is None:
        options = {"dropout": dropout, "scaling": scaling, "is_causal": is_causal}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)  # type: ignore[no-any-return]
    causal = bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)
    if torch.is_autocast_enabled(query.device.type):
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    query, key, value = (each[0].transpose(0, 1) for each in (query, key, value))
    if packed.key_rows is not None:
        key, value = key[packed.key_rows], value[packed.key_rows]
    attend = _on_gpu if query.is_cuda else _by_length
    return attend(query, key, value, packed, dropout, scaling, causal)[None], None


AttentionInterface.register(IMPLEMENTATION, packed_attention)
AttentionMaskInterface.register(IMPLEMENTATION, packed_mask)


def _on_gpu(
    query: Tensor, key: Tensor, value: Tensor, packed: Layout, dropout: float, scaling: float | None, causal: bool
) -> Tensor:
    """One kernel for all texts, called as `torch.nested` calls it; shapes (tokens, heads, dimension)."""
    ends = packed.cumulative_queries, packed.cumulative_keys, max(packed.queries), max(packed.keys)
    if query.dtype in HALF:
        flash = torch.ops.aten._flash_attention_forward
        return flash(query, key, value, *ends, dropout, causal, False, scale=scaling)[0]  # type: ignore[no-any-return]
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = (each.repeat_interleave(repeats, dim=1) for each in (key, value))
    efficient = torch.ops.aten._efficient_attention_forward
    mask = CAUSAL_FROM_BOTTOM_RIGHT if causal else 0
    gradient = torch.is_grad_enabled() and query.requires_grad
    return efficient(  # type: ignore[no-any-return]
        query[None], key[None], value[None], None, *ends, dropout, mask, gradient, scale=scaling
    )[0][0]


def _by_length(
    query: Tensor, key: Tensor, value: Tensor, packed: Layout, dropout: float, scaling: float | None, causal: bool
) -> Tensor:
    """A call for each run of texts of equal length; shapes (tokens, heads, dimension)."""
    runs = [(len(list(run)), *pair) for pair, run in itertools.groupby(zip(packed.queries, packed.keys, strict=True))]
    own = [count * queries for count, queries, _ in runs]
    read = [count * keys for count, _, keys in runs]
    gqa = query.shape[1] != key.shape[1]
    outputs = []
    parts = zip(torch.split(query, own), torch.split(key, read), torch.split(value, read), strict=True)
    for (count, queries, keys), of_run in zip(runs, parts, strict=True):
        rows = [part.reshape(count, -1, *part.shape[1:]).transpose(1, 2) for part in of_run]
        mask = None
        if causal and queries < keys:  # torch would align the triangle with the first key
            mask = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
        output = scaled_dot_product_attention(
            rows[0],
            rows[1],
            rows[2],
            attn_mask=mask,
            dropout_p=dropout,
            scale=scaling,
            is_causal=causal and mask is None,
            enable_gqa=gqa,
        )
        outputs.append(output.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs)
