"""Make a student out of a published model: leave layers out, give it a fresh head."""

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import nn

from decant.errors import DecantError
from decant.models.load import transformer_of


def keep_layers(model: SentenceTransformer | CrossEncoder, layers: list[int]) -> None:
    """Leave out all transformer layers but those named, in place (layer reduction, as for MiniLM-L3 from -L6).

    Args:
        model: to shorten.
        layers: ascending layer numbers, from 0.

    Raises:
        DecantError: a layer is named that the model does not have, or its layers cannot be found.
    """
    transformer = transformer_of(model)
    config = transformer.config
    for module in transformer.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == config.num_hidden_layers:
                if layers[-1] >= len(child):
                    raise DecantError(
                        f"student.layers: the model has no layer {layers[-1]}",
                        f"name layers from 0 to {len(child) - 1}",
                    )
                setattr(module, name, nn.ModuleList(child[index] for index in layers))
                config.num_hidden_layers = len(layers)
                if getattr(config, "layer_types", None):
                    config.layer_types = [config.layer_types[index] for index in layers]
                return
    raise DecantError(
        f"student.layers: no stack of layers was found in {type(transformer).__name__}", "set `layers` to null"
    )


def initialise_head(model: CrossEncoder, seed: int) -> None:
    """Draw the head's weights anew, in place: normal with the backbone's initial deviation, biases zero.

    Raises:
        DecantError: the model has no head by a known name.
    """
    transformer = transformer_of(model)
    head = next((m for name, m in transformer.named_children() if name in ("classifier", "score")), None)
    if head is None:
        raise DecantError(f"student.head: no head was found in {type(transformer).__name__}", "set `head` to `keep`")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            values = torch.zeros(parameter.shape)
            if parameter.ndim > 1:
                values.normal_(0, transformer.config.initializer_range, generator=generator)
            parameter.copy_(values)
