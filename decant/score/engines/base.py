"""What an engine is: a function `load` that makes a `Forward` of a teacher."""

import importlib
import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from decant.errors import DecantError
from decant.models.matryoshka import shorten
from decant.models.scorer import Scores
from decant.score.engines import ENGINES
from decant.score.prompts import Prompt
from decant.score.settings import Teacher

# An engine may have figures of its own beside those that `decant.score.engines.robust` counts: a function `figures` of
# the callable, which returns by name what has been added since its last call.
#
# From prompts to embeddings of unit length, shape (prompts, dimension), for a bi_encoder; for a cross_encoder and a
# causal_lm to raw scores, shape (prompts,): the logit, and logit(yes) − logit(no), or
# logit(yes) alone as its template has it. float32, no activation.
Forward: TypeAlias = Callable[[Sequence[Prompt]], Scores]


class Refused(DecantError):
    """An engine refuses what it was given; with fewer or other texts it may not."""


def load_forward(teacher: Teacher, folder: Path) -> Forward:
    """Load a teacher into its engine; the folder of the engine `server` has the model's tokenizer alone.

    Raises:
        DecantError: the engine is not installed, or cannot run the model.
    """
    forward: Forward = importlib.import_module(ENGINES[teacher.engine].module).load(teacher, folder)
    return forward if teacher.dimensions is None else _Shortened(forward, teacher.dimensions)


class _Shortened:
    """An engine whose embeddings are cut."""

    def __init__(self, forward: Forward, dimensions: int) -> None:
        self._forward, self._dimensions = forward, dimensions
        self.figures: Callable[[], dict[str, float]] = getattr(forward, "figures", dict)

    def __call__(self, prompts: Sequence[Prompt]) -> Scores:
        return shorten(self._forward(prompts), self._dimensions)


def engine_version(teacher: Teacher) -> str:
    """The installed version of the package behind a teacher's engine; of a server, its address.

    Raises:
        DecantError: the engine, or Ray where it is asked for, is not installed.
    """
    if teacher.engine_pool == "ray":
        importlib.import_module("decant.score.engines.ray_pool")
    engine = ENGINES[teacher.engine]
    if engine.own_version:
        return str(importlib.import_module(engine.module).version(teacher))
    return f"{teacher.engine} {importlib.metadata.version(teacher.engine)}"
