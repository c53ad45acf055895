"""The blocks of params.yaml that the stage `score` reads."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from decant.blocks import Block, Positive, Rate, Share
from decant.models.settings import Model

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


class Store(Block):
    """Where teachers' scores are kept between runs, and how."""

    folder: Annotated[str, Field(min_length=1)] | None
    shard: Positive
    embeddings: Literal["float32", "float16"]
    max_quarantined: Share
