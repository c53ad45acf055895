"""Train a model by low-rank adapters (LoRA, Hu et al., arXiv:2106.09685), through peft; what is saved is plain weights.

A weight matrix W of a linear layer stays as it is, and the layer computes W + alpha / rank · B A instead. A is of shape
(rank, inputs) and B of (outputs, rank); B is zero at first, so training starts from the model as it was.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from decant.errors import DecantError
from decant.models.kind import Model
from decant.models.load import transformer_of
from decant.train.settings import Lora


def add_adapters(model: Model, settings: Lora) -> str:
    """Give a model adapters, in place, and freeze its transformer under them; the head is trained whole.

    Returns:
        What is trained, in words.

    Raises:
        DecantError: a layer is named that the transformer does not have.
    """
    from peft import LoraConfig, inject_adapter_in_model

    body = transformer_of(model).base_model  # what stands behind it, in the transformer or in modules, is the head
    linear = sorted({name.rpartition(".")[2] for name, module in body.named_modules() if isinstance(module, nn.Linear)})
    if unknown := sorted(set(settings.targets or ()) - set(linear)):
        raise DecantError(
            f"train.lora.targets: {type(body).__name__} has no linear layer named {unknown[0]!r}",
            f"name some of {', '.join(linear)}, or set it to null for all",
        )
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.targets or linear,
    )
    inject_adapter_in_model(config, body)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    total = sum(weight.numel() for weight in model.parameters())
    return (
        f"{len(_layers(model))} layers have adapters of rank {settings.rank}; {trained} of {total} weights are trained"
    )


def adapted(model: nn.Module) -> bool:
    """Whether a model has adapters."""
    return bool(_layers(model))


@contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """Let a model have the merged weights in its layers' own places, to be read, and no adapters; then as before.

    The merged weights are in the CPU's memory: a GPU that holds a large model once need not hold it twice.
    """
    layers = _layers(model)
    kept = {name: layer.get_base_layer().weight for name, layer in layers.items()}
    try:
        _put_merged(model, layers, torch.device("cpu"))
        yield
    finally:
        for name, layer in layers.items():
            layer.get_base_layer().weight = kept[name]
            model.set_submodule(name, layer)


def merge(model: nn.Module) -> None:
    """Make a model with adapters one without, of the same outputs, in place. Nothing where there are none."""
    _put_merged(model, _layers(model), None)


def _layers(model: nn.Module) -> dict[str, Any]:
    """The linear layers that have adapters, by their names."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "get_delta_weight")}


@torch.no_grad()
def _put_merged(model: nn.Module, layers: dict[str, Any], device: torch.device | None) -> None:
    """Put plain layers with merged weights into the places of those with adapters; None keeps the weights' device."""
    for name, layer in layers.items():
        plain = layer.get_base_layer()
        weight = plain.weight + sum(layer.get_delta_weight(adapter) for adapter in layer.active_adapters)
        plain.weight = nn.Parameter(weight.to(device or weight.device), requires_grad=False)
        model.set_submodule(name, plain)
