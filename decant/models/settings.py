"""The blocks of params.yaml that describe models."""

from typing import Literal

from pydantic import model_validator

from decant.blocks import Block, Place, Positive, Sha256
from decant.sources.settings import Reference, pinned

__all__ = ["BiEncoderStudent", "CrossEncoderStudent", "Model", "Reference", "Student", "pinned"]


class Model(Block):
    """What every model's block holds."""

    model: Reference
    """Where the model is: `package:`, `path:`, `hub:` or `modelscope:`."""
    revision: str | None = None
    """The commit of a `hub:` or `modelscope:` model."""
    sha256: Sha256 | None = None
    """SHA-256 of `model.safetensors`, or of the `pytorch_model.bin` that is converted once."""
    max_length: Positive
    """Tokens after which a text or pair is cut."""
    trust_remote_code: bool = False
    """Whether Python code in the model's folder may run."""

    @model_validator(mode="after")
    def _revision(self) -> "Model":
        pinned(self.model, self.revision)
        return self


class Student(Model):
    """The model that is trained."""

    layers: list[Place] | None = None
    """Numbers of the transformer layers to keep, ascending from 0; null keeps all."""

    @property
    def fresh_head(self) -> bool:
        """Whether scores come from a head of random weights before training."""
        return False

    @model_validator(mode="after")
    def _layers(self) -> "Student":
        if self.layers is not None and (not self.layers or sorted(set(self.layers)) != self.layers):
            raise ValueError("`layers` must be layer numbers in ascending order, from 0, each once; null keeps all")
        return self


class BiEncoderStudent(Student):
    """A bi-encoder student."""

    query_prompt: str | None = None
    """Goes before each query, `{task}` filled in; null takes the model's own."""
    document_prompt: str | None = None
    """Goes before each document; null takes the model's own."""


class CrossEncoderStudent(Student):
    """A cross-encoder student."""

    head: Literal["fresh", "keep"] = "keep"
    """`keep` takes the model's head, `fresh` draws a new one from the seed."""

    @property
    def fresh_head(self) -> bool:
        """Whether scores come from a head of random weights before training."""
        return self.head == "fresh"
