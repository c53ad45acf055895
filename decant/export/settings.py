"""The block of params.yaml that the stage `export` reads."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from decant.blocks import Block, Share

Format = Literal["onnx", "onnx_int8", "openvino", "openvino_int8"]


class Export(Block):
    """The trained student as files of other runtimes."""

    formats: Annotated[list[Format], Field(min_length=1)] = Field(default_factory=lambda: list(get_args(Format)))
    """`onnx` and `openvino` compute in float32. Those of int8 have weights of 8 bits, and round what is multiplied with
    them to 8 bits as they run (dynamic quantisation)."""
    max_loss: Share = 0.005
    """The share of its MAP on the in-domain dev split that the student may lose in int8; a format that loses more is
    not kept."""

    @field_validator("formats")
    @classmethod
    def _once(cls, formats: list[Format]) -> list[Format]:
        if len(set(formats)) < len(formats):
            raise ValueError("each format once")
        return formats
