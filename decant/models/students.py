"""Make a smaller student out of a published model."""

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
