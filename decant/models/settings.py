"""The blocks of params.yaml that describe models."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from decant.blocks import Block, Positive, Sha256
from decant.sources.settings import Reference, pinned


class Model(Block):
    """What every model's block holds."""

    model: Reference
    revision: str | None
    sha256: Sha256 | None
    max_length: Positive
    trust_remote_code: bool

    @model_validator(mode="after")
    def _revision(self) -> "Model":
        pinned(self.model, self.revision)
        return self


class Student(Model):
    """The model that is trained."""

    layers: list[Annotated[int, Field(ge=0)]] | None

    @model_validator(mode="after")
    def _layers(self) -> "Student":
        if self.layers is not None and (not self.layers or sorted(set(self.layers)) != self.layers):
            raise ValueError("`layers` must be layer numbers in ascending order, from 0, each once; null keeps all")
        return self


class EmbeddingStudent(Student):
    """A bi-encoder student; a null prompt means the model's own."""

    query_prompt: str | None
    document_prompt: str | None


class RerankerStudent(Student):
    """A cross-encoder student; a `fresh` head is initialised from the seed."""

    head: Literal["fresh", "keep"]
