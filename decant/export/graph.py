"""A student as one ONNX graph, from tokens to its embedding or score: pooling, further layers and head included."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers.base.modules import Transformer
from torch import Tensor, nn

from decant.errors import DecantError
from decant.models.kind import Model, ModelKind
from decant.models.load import transformer_of
from decant.models.packing import unpack

TOKENS = ("input_ids", "attention_mask", "token_type_ids")
OPSET = 18


class _Whole(nn.Module):
    """What `ModelKind.outputs` gives, with a tensor for each name."""

    def __init__(self, kind: ModelKind, model: Model, names: Sequence[str]) -> None:
        super().__init__()
        self.kind, self.model, self.names = kind, model, names

    def forward(self, *tokens: Tensor) -> Tensor:
        return self.kind.outputs(self.model, dict(zip(self.names, tokens, strict=True)))


def write_onnx(kind: ModelKind, model: Model, path: Path) -> None:
    """Write a model as an ONNX graph.

    Its inputs are the tokenizer's, int64, shape (texts, tokens), both sizes free. Its output is called as
    `ModelKind.OUTPUT` says: embeddings of length 1, float32, shape (texts, dimension), or raw logits, shape (pairs,).

    Args:
        kind: of the model.
        model: in memory, on the CPU; it computes padding from now on.
        path: of the graph; above 2 GB, weights go into a second file beside it.

    Raises:
        DecantError: torch cannot trace the model, or it has no transformer.
    """
    if not isinstance(model[0], Transformer):
        raise DecantError(
            f"the student begins with a {type(model[0]).__name__}, and only a transformer can be exported",
            "take its track out of `export`",
        )
    unpack(transformer_of(model))
    tokens = model.preprocess(list(kind.EXAMPLES))
    taken = model[0].model_forward_params
    names = [name for name in TOKENS if name in tokens and (taken is None or name in taken)]
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                _Whole(kind, model, names).eval(),
                tuple(tokens[name] for name in names),
                input_names=names,
                output_names=[kind.OUTPUT],
                dynamic_shapes=(tuple(free for _ in names),),
                opset_version=OPSET,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            name = type(transformer_of(model)).__name__
            raise DecantError(
                f"torch cannot write {name} as an ONNX graph: {error}", "take its track out of `export`"
            ) from error
    assert program is not None
    program.save(path)
