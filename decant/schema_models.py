"""The blocks of params.yaml that describe models: the teacher, where it runs, and the students."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Reference = Annotated[str, Field(pattern=r"^(package|path|hub|modelscope):\S.*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

ENGINES_OF = {
    "bi_encoder": ("sentence-transformers", "vllm", "server"),
    "cross_encoder": ("sentence-transformers", "vllm", "server"),
    "causal_lm": ("transformers", "vllm", "server"),
}
SERVER_APIS = {
    "bi_encoder": ("openai", "vllm", "tei"),
    "cross_encoder": ("vllm", "tei"),
    "causal_lm": ("vllm",),
}


class Block(BaseModel):
    """A block of params.yaml: unknown keys are refused, and nothing is converted behind the user's back."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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


class Server(Block):
    """Where and how the engine `server` finds a teacher behind HTTP."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")] | None
    api: Literal["openai", "vllm", "tei"]
    name: str | None
    key: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None
    concurrency: Positive
    retries: Annotated[int, Field(ge=0)]
    timeout: Rate


class Teacher(Model):
    """The model whose scores are the targets."""

    kind: Literal["bi_encoder", "cross_encoder", "causal_lm"]
    engine: Literal["sentence-transformers", "transformers", "vllm", "server"]
    engines: Positive | None
    engine_pool: Literal["processes", "ray"]
    tensor_parallel: Positive
    server: Server
    query_prompt: str | None
    document_prompt: str | None
    dtype: Literal["float32", "bfloat16", "float16"]
    batch_size: Positive
    embeddings: bool

    @model_validator(mode="after")
    def _possible(self) -> "Teacher":
        if self.embeddings and self.kind != "bi_encoder":
            raise ValueError(f"`embeddings` is true, and a {self.kind} makes none: set it to false")
        if self.engine not in ENGINES_OF[self.kind]:
            raise ValueError(
                f"the engine {self.engine} cannot score a {self.kind}: choose {' or '.join(ENGINES_OF[self.kind])}"
            )
        if self.kind == "cross_encoder" and (self.query_prompt or self.document_prompt):
            raise ValueError("a cross_encoder takes no prompts: set query_prompt and document_prompt to null")
        if self.kind == "causal_lm" and (self.query_prompt or self.document_prompt):
            raise ValueError("a causal_lm has one template, with the set's task: set both prompts to null")
        if self.tensor_parallel > 1 and self.engine != "vllm":
            raise ValueError(
                f"tensor_parallel is {self.tensor_parallel}, which the engine vllm alone can do: set it to 1"
            )
        if self.engine == "server":
            if self.server.url is None:
                raise ValueError("server.url is null: the engine server needs the address of one")
            if self.server.api not in SERVER_APIS[self.kind]:
                raise ValueError(
                    f"server.api {self.server.api} cannot score a {self.kind}: "
                    f"choose {' or '.join(SERVER_APIS[self.kind])}"
                )
            if (self.engines or 1) > 1:
                raise ValueError("engines: a server is one engine; set it to null, and server.concurrency instead")
            if self.engine_pool == "ray":
                raise ValueError("engine_pool: a server is asked from this machine alone; set it to processes")
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


def pinned(reference: str, revision: str | None) -> None:
    """Make sure that what comes from a hub names a commit, and that nothing else does."""
    remote = reference.startswith(("hub:", "modelscope:"))
    if remote and not re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        found = "null" if revision is None else repr(revision)
        raise ValueError(f"`revision` is {found}, and {reference} must be pinned to a commit: 40 hexadecimal digits")
    if not remote and revision is not None:
        raise ValueError(f"`revision` is {revision!r}, and {reference} has none: set it to null")
