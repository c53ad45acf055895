"""The block of params.yaml that the stage `export` reads."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from decant.blocks import Block, Share

Format = Literal["onnx", "onnx_int8", "openvino"]


class Export(Block):
    """The trained student as files of other runtimes."""

    formats: Annotated[list[Format], Field(min_length=1)] = Field(default_factory=lambda: list(get_args(Format)))
    """`onnx` and `openvino` compute in float32. `onnx_int8` has weights of 8 bits, and rounds what is multiplied with
    them to 8 bits as it runs (dynamic quantisation)."""
    max_loss: Share = 0.005
    """The share of its MAP on the in-domain dev split that the student may lose in `onnx_int8`; where it loses more,
    that format is not kept."""

    @field_validator("formats")
    @classmethod
    def _once(cls, formats: list[Format]) -> list[Format]:
        if len(set(formats)) < len(formats):
            raise ValueError("each format once")
        return formats
