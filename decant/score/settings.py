"""The blocks of params.yaml that the stage `score` reads."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from decant.blocks import Block, OneOf, Place, Positive, Rate, Share
from decant.models.settings import Model
from decant.score.engines import ENGINES


class Server(Block):
    """A teacher behind HTTP, of the engine `server`."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    """Its address."""
    api: Literal["openai", "vllm", "tei"]
    """What it speaks: OpenAI's embeddings, vLLM's, or text-embeddings-inference's."""
    name: str | None = None
    """The served model's name, where the server needs it."""
    key: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """The environment variable that holds the key."""
    concurrency: Positive = 16
    """Requests at a time."""
    batch_size: Positive = 32
    """Texts or pairs a request."""
    retries: Place = 5
    """Retries of a request that failed."""
    timeout: Rate = 60.0
    """Seconds to wait for an answer."""


class Teacher(Model):
    """The model whose scores are the targets."""

    kind: Literal["bi_encoder", "cross_encoder", "causal_lm"]
    """What it is: an embedding model, a cross-encoder, or a causal language model that answers yes or no."""
    engine: Annotated[str, AfterValidator(OneOf(ENGINES, "engine"))]
    """What runs it: `sentence-transformers`, `transformers` (causal_lm), `vllm` or `server`."""
    engines: Positive | None = None
    """How many engines run at once; null takes one for each `tensor_parallel` GPUs."""
    engine_pool: Literal["processes", "ray"] = "processes"
    """Where several engines run: in processes of this machine, or in actors of a Ray cluster."""
    tensor_parallel: Positive = 1
    """GPUs that share one model, of the engine `vllm`."""
    server: Server | None = None
    """The server, of the engine `server`."""
    query_prompt: str | None = None
    """Goes before each query, `{task}` filled in; null takes the model's own. Of a bi_encoder."""
    document_prompt: str | None = None
    """Goes before each document; null takes the model's own. Of a bi_encoder."""
    template: Literal["qwen3", "gemma", "mxbai"] | None = None
    """What a causal_lm reads and answers: as Qwen3-Reranker, bge-reranker-v2-gemma (without the task) or
    mxbai-rerank-v2; null is `qwen3`."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the weights."""
    batch_tokens: Positive | None = None
    """Tokens a forward pass; null takes what keeps the device busy and fits into a GPU's memory. vLLM and servers make
    batches of their own. It may change the last digits of new scores. Stored scores stay valid."""
    embeddings: bool = False
    """Whether the embeddings of the train texts are kept beside the scores, as `embed_distill` needs them."""
    embeddings_dtype: Literal["float32", "float16"] = "float32"
    """In which a bi_encoder's embeddings are kept; its scores are made of them."""
    dimensions: Positive | None = None
    """How many numbers of a bi_encoder's embeddings are taken, the first so many, of unit length again; of models that
    were trained for it (Matryoshka), such as Qwen3-Embedding. Null takes all."""

    @property
    def members(self) -> "list[Teacher]":
        """The teacher alone; see `Ensemble.members`."""
        return [self]

    @model_validator(mode="after")
    def _possible(self) -> "Teacher":
        engine = ENGINES[self.engine]
        if self.embeddings and self.kind != "bi_encoder":
            raise ValueError(f"`embeddings` is true, and a {self.kind} makes none: set it to false")
        if self.dimensions is not None and self.kind != "bi_encoder":
            raise ValueError(f"`dimensions` is {self.dimensions}, and a {self.kind} makes none: set it to null")
        if self.kind not in engine.kinds:
            able = [name for name, other in ENGINES.items() if self.kind in other.kinds]
            raise ValueError(f"the engine {self.engine} cannot score a {self.kind}: choose {' or '.join(able)}")
        if self.query_prompt or self.document_prompt:
            if self.kind == "cross_encoder":
                raise ValueError("a cross_encoder takes no prompts: leave query_prompt and document_prompt out")
            if self.kind == "causal_lm":
                raise ValueError("a causal_lm reads a template, with the set's task: leave both prompts out")
        if self.template is not None and self.kind != "causal_lm":
            raise ValueError(f"`template` is {self.template}, and a {self.kind} reads none: set it to null")
        if (count := self.tensor_parallel) > 1 and not engine.tensor_parallel:
            raise ValueError(f"tensor_parallel is {count}, which the engine vllm alone can do: set it to 1")
        return self

    @model_validator(mode="after")
    def _server(self) -> "Teacher":
        apis = ENGINES[self.engine].apis
        if not apis:
            if self.server is not None:
                raise ValueError(f"`server` is of the engine server, and the engine is {self.engine}: set it to null")
            return self
        if self.server is None:
            raise ValueError("`server` is null: the engine server needs the address of one")
        if (api := self.server.api) not in apis[self.kind]:
            raise ValueError(f"server.api {api} cannot score a {self.kind}: choose {' or '.join(apis[self.kind])}")
        if (self.engines or 1) > 1:
            raise ValueError("engines: a server is one engine; set it to null, and server.concurrency instead")
        if self.engine_pool == "ray":
            raise ValueError("engine_pool: a server is asked from this machine alone; set it to processes")
        return self


class Member(Teacher):
    """One of several teachers: a whole teacher, and its weight."""

    weight: Rate = 1.0
    """How much its scores count beside the others'."""

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and "ensemble" in content:
            raise ValueError("an ensemble is no member of another: list its teachers here, each with its weight")
        return content


class Ensemble(Block):
    """Several teachers, whose scores are standardised for each query, weighted and added."""

    ensemble: list[Member]
    """The teachers, two or more."""
    embeddings: bool = False
    """Whether the embeddings of the train texts are kept beside the scores, those of all members side by side."""

    @property
    def kind(self) -> str:
        """The kind of model that its scores stand for: none of a single model's."""
        return "ensemble"

    @property
    def members(self) -> list[Teacher]:
        """Its teachers, each as it would be alone, in the order of params."""
        blocks = [member.model_dump(exclude={"weight"}) for member in self.ensemble]
        return [Teacher.model_validate(block | {"embeddings": self.embeddings}) for block in blocks]

    @property
    def shares(self) -> list[float]:
        """The members' weights as shares of 1."""
        total = sum(member.weight for member in self.ensemble)
        return [member.weight / total for member in self.ensemble]

    @model_validator(mode="before")
    @classmethod
    def _no_teacher_of_its_own(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and (own := sorted((content.keys() & Teacher.model_fields) - {"embeddings"})):
            raise ValueError(
                f"beside `ensemble` stands `{own[0]}`, which is one teacher's: move it into the list, to the member "
                "that it belongs to"
            )
        return content

    @model_validator(mode="after")
    def _possible(self) -> "Ensemble":
        if (count := len(self.ensemble)) < 2:
            raise ValueError(
                f"`ensemble` lists {count} teacher{'s' * (count != 1)}, and two or more make one: add one, or put the "
                "keys of a single teacher in the place of `ensemble`"
            )
        for number, member in enumerate(self.ensemble, 1):
            if member.embeddings:
                raise ValueError(
                    f"teacher {number} sets `embeddings`, which all or none keep: set it beside `ensemble` instead"
                )
            if self.embeddings and member.kind != "bi_encoder":
                raise ValueError(
                    f"`embeddings` is true, and teacher {number} is a {member.kind}, which makes none: set it to "
                    "false, or take bi_encoders alone"
                )
        return self


FORMS = ("one teacher", "an ensemble")  # of the block `teacher`


def _form(content: Any) -> str:
    several = isinstance(content, Ensemble) or (isinstance(content, Mapping) and "ensemble" in content)
    return FORMS[several]


Teachers: TypeAlias = Annotated[
    Annotated[Teacher, Tag(FORMS[0])] | Annotated[Ensemble, Tag(FORMS[1])], Discriminator(_form)
]
"""What a track learns from: one teacher, or an ensemble of several."""


class StoreSettings(Block):
    """Where teachers' scores are kept between runs."""

    folder: Annotated[str, Field(min_length=1)] | None = None
    """The store's folder; null takes `scores` in the user's cache folder of Decant."""
    shard: Positive = 4096
    """Texts or pairs that are scored, and kept, at once. Like `batch_tokens`, it may change the last digits."""
    max_quarantined: Share = 0.001
    """The largest share of a split's pairs that may have no score."""
