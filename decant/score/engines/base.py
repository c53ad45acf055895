"""Engines run teachers; a new engine is one file here and one line in `ENGINES`.

An engine is a module with a function `load`, from a `TeacherSpec` to a `Forward`. What the model reads is decided
before, in `decant.score.prompts`: every engine of one kind gets the same token ids, and gives the same raw scores.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from decant.errors import DecantError

if TYPE_CHECKING:
    from decant.score.prompts import Prompt

Scores = npt.NDArray[np.float32]

# From prompts to embeddings of unit length, shape (prompts, dimension), for a bi_encoder; for a cross_encoder and a
# causal_lm to raw scores, shape (prompts,): the logit, and logit(yes) − logit(no). float32, no activation.
Forward: TypeAlias = Callable[[Sequence["Prompt"]], Scores]

ENGINES = {
    "sentence-transformers": "decant.score.engines.sentence_transformers",
    "transformers": "decant.score.engines.transformers",
    "vllm": "decant.score.engines.vllm",
    "server": "decant.score.engines.server",
}
REFERENCE = {
    "bi_encoder": "sentence-transformers",
    "cross_encoder": "sentence-transformers",
    "causal_lm": "transformers",
}


class Refused(DecantError):
    """An engine refuses what it was given; with fewer or other texts it may not."""


@dataclass(frozen=True)
class ServerSpec:
    """Where a teacher behind HTTP is; the fields are those of `<track>.teacher.server` in params."""

    url: str | None
    api: str
    name: str | None
    key: str | None
    concurrency: int
    retries: int
    timeout: float


@dataclass(frozen=True)
class TeacherSpec:
    """What an engine needs to know of a teacher; the fields are those of `<track>.teacher` in params."""

    kind: str
    engine: str
    folder: Path
    max_length: int
    query_prompt: str | None
    document_prompt: str | None
    dtype: str
    batch_size: int
    trust_remote_code: bool
    engines: int | None = None
    engine_pool: str = "processes"
    tensor_parallel: int = 1
    server: ServerSpec | None = None


def load_forward(spec: TeacherSpec) -> Forward:
    """Load a teacher into its engine.

    Raises:
        DecantError: the engine is not installed, or cannot run the model.
    """
    load: Callable[[TeacherSpec], Forward] = importlib.import_module(ENGINES[spec.engine]).load
    return load(spec)
