"""Make a smaller student out of a published model."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import nn

from decant.errors import DecantError
from decant.models.load import transformer_of


def keep_layers(model: SentenceTransformer | CrossEncoder, layers: list[int]) -> None:
    """Leave out all transformer layers but those named, in place (layer reduction, as for MiniLM-L3 from -L6).

    Args:
        model: to shorten.
        layers: ascending numbers, from 0.

    Raises:
        DecantError: a layer is named that the model does not have, its layers cannot be found, or the shortened model,
            once saved, would be loaded as another one. The model is then as it was.
    """
    transformer = transformer_of(model)
    path, stack = _stack_of(transformer)
    if layers[-1] >= len(stack):
        raise DecantError(
            f"student.layers: the model has no layer {layers[-1]}", f"name layers from 0 to {len(stack) - 1}"
        )
    config = copy.deepcopy(transformer.config)
    _shorten(config.get_text_config(), layers)
    with torch.device("meta"):  # what a folder with this configuration is loaded into, without weights
        loaded = type(transformer)(config).get_submodule(path)
    for place, number in enumerate(layers):
        if difference := _difference(loaded[place], stack[number]):
            raise DecantError(
                f"student.layers: {type(transformer).__name__} is loaded with another layer in place {place} than its "
                f"layer {number}: {difference}",
                f"keep layer {place} in its place, or set `layers` to null",
            )
    kept = nn.ModuleList(stack[index] for index in layers)
    for place, layer in enumerate(kept):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = place  # type: ignore[assignment]  # of a decoder's cache
    transformer.set_submodule(path, kept)
    _shorten(transformer.config.get_text_config(), layers)


def _stack_of(transformer: Any) -> tuple[str, nn.ModuleList]:
    """The name of the transformer's list of layers, and the list."""
    count = getattr(transformer.config.get_text_config(), "num_hidden_layers", None)
    for name, module in transformer.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name, module
    raise DecantError(
        f"student.layers: no stack of layers was found in {type(transformer).__name__}", "set `layers` to null"
    )


def _shorten(config: Any, layers: list[int]) -> None:
    """Describe the kept layers alone: their number, and what a configuration lists for each (`layer_types`)."""
    lists = {
        name: value
        for name, value in vars(config).items()
        if "layer" in name and isinstance(value, list) and len(value) == config.num_hidden_layers
    }
    config.num_hidden_layers = len(layers)
    for name, value in lists.items():
        setattr(config, name, [value[index] for index in layers])


def _difference(loaded: nn.Module, kept: nn.Module) -> str | None:
    """What two layers differ in first: a module's class, or a number, word or switch of it; None where they agree."""
    ours, theirs = dict(_described(kept)), dict(_described(loaded))
    differing = (key for key in [*ours, *theirs] if ours.get(key) != theirs.get(key))
    key = next(differing, None)
    return None if key is None else f"`{key}` is {theirs.get(key)} instead of {ours.get(key)}"


def _described(layer: nn.Module) -> Iterator[tuple[str, Any]]:
    """The class of each module of a layer, and its plain attributes, such as sizes and windows, by their names."""
    for path, module in layer.named_modules():
        yield path or "layer", type(module).__name__
        for name, value in vars(module).items():
            plain = isinstance(value, bool | int | float | str | tuple | None)
            if plain and not name.startswith("_") and name not in ("training", "layer_idx"):
                yield f"{path}.{name}".lstrip("."), value
