"""One shard through an engine, so that a text that it cannot score costs itself and not its shard."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from decant.errors import DecantError
from decant.models.scorer import Scores
from decant.score.engines.base import Forward, Refused, load_forward
from decant.score.prompts import Prompt, make_prompts
from decant.score.settings import Teacher

AHEAD = 2  # shards handed to an engine at once
MOST = 32  # prompts of one shard that may fail alone; with more, the engine is held to be at fault
NOT_FINITE = "the engine gives a score that is not a finite number"
REMEDY = (
    "the engine or its settings are at fault, not the texts: look at teacher.dtype (float16 overflows where bfloat16 "
    "and float32 do not), max_length and batch_tokens, and at the engine's own words above"
)


Figures: TypeAlias = Mapping[str, float]


def added(some: Figures, more: Figures) -> dict[str, float]:
    """The sums of figures of the same name."""
    return {name: some.get(name, 0) + more.get(name, 0) for name in sorted({*some, *more})}


@dataclass(frozen=True)
class Outcome:
    """What an engine made of a shard."""

    values: Scores  # float32, shape (prompts,) or (prompts, dimension); NaN where there is a fault
    faults: dict[int, str]  # a prompt's number → why it has no score
    figures: Figures = field(default_factory=dict)  # what it took, to be added up


def run_shard(teacher: Teacher, folder: Path, shard: Sequence[Prompt]) -> Outcome:
    """Run a shard in a process that has an engine of its own, loaded at the first call."""
    return forward_shard(_engine(teacher, folder), shard, functools.partial(plain_prompts, teacher, folder))


_engine = functools.cache(load_forward)


def plain_prompts(teacher: Teacher, folder: Path) -> list[Prompt]:
    """What the model reads of a pair of single words, which every sound engine can score."""
    return list(make_prompts(teacher, folder).parts("a", "a", "").values())


def forward_shard(forward: Forward, prompts: Sequence[Prompt], plain: Callable[[], Sequence[Prompt]]) -> Outcome:
    """Run a shard at once; where that fails, halve it until those that fail are alone.

    `plain` makes prompts that a sound engine can score; it is called where none of one or two prompts has a score.

    Raises:
        Exception: what the engine raised, where that is not for what it was given: a DecantError other than
            `Refused`, or anything that the shard's first and last prompt raise as well, each alone, or the plain ones.
        DecantError: more than `MOST` prompts fail, or the plain ones have no finite score.
    """
    shard = _Shard(forward, prompts)
    everything = range(len(prompts))
    start = time.perf_counter()
    if (error := shard.run(everything)) is not None:
        if len(prompts) > 2 and _fails(forward, prompts[:1]) and _fails(forward, prompts[-1:]):
            raise error
        shard.halve(everything, error)
    for index in everything:  # what is not finite may be so for its neighbours: once more, alone
        if index not in shard.scored and index not in shard.faults:
            error = shard.run(range(index, index + 1))
            if index not in shard.scored:
                shard.set_aside(index, NOT_FINITE if error is None else _words(error))
    if len(prompts) <= 2 and not shard.scored and not np.isfinite(forward(plain())).all():
        raise DecantError(f"the engine has no finite score for any text, such as {shard.faults[0]}", REMEDY)
    width = next(iter(shard.scored.values())).shape if shard.scored else ()
    values: Scores = np.full((len(prompts), *width), np.nan, dtype=np.float32)
    for index, value in shard.scored.items():
        values[index] = value
    took = {"prompts": len(prompts), "tokens": sum(len(prompt.ids) for prompt in prompts)}
    own: Figures = getattr(forward, "figures", dict)()
    return Outcome(values, shard.faults, {**took, "seconds": time.perf_counter() - start, **own})


class _Shard:
    """A shard under way: what has a finite score, and what is set aside, by the prompts' numbers."""

    def __init__(self, forward: Forward, prompts: Sequence[Prompt]) -> None:
        self.forward, self.prompts = forward, prompts
        self.scored: dict[int, Scores] = {}
        self.faults: dict[int, str] = {}

    def run(self, chosen: range) -> Exception | None:
        """Score some prompts at once; return what they failed for. An error that is the engine's own is raised."""
        try:
            values = self.forward(self.prompts[chosen.start : chosen.stop])
            finite = np.isfinite(values.reshape(len(chosen), -1)).all(axis=1)
            numbered = zip(chosen, values, np.asarray(finite), strict=True)
            self.scored |= {index: value for index, value, good in numbered if good}
        except Exception as error:
            if isinstance(error, DecantError) and not isinstance(error, Refused):
                raise
            return error
        return None

    def halve(self, chosen: range, cause: Exception) -> None:
        """Score those prompts in halves, and halves of these, that failed together for the cause."""
        if len(chosen) == 1:
            self.set_aside(chosen[0], _words(cause))
            return
        middle = len(chosen) // 2
        for half in (chosen[:middle], chosen[middle:]):
            if (error := self.run(half)) is not None:
                self.halve(half, error)

    def set_aside(self, index: int, reason: str) -> None:
        self.faults[index] = reason
        if len(self.faults) > MOST:
            raise DecantError(
                f"more than {MOST} texts of a shard of {len(self.prompts)} have no score; the last: {reason}", REMEDY
            )


def _fails(forward: Forward, prompts: Sequence[Prompt]) -> bool:
    try:
        forward(prompts)
    except Exception:
        return True
    return False


def _words(error: Exception) -> str:
    words = error.problem if isinstance(error, DecantError) else f"{type(error).__name__}: {error}"
    return (words.strip().splitlines() or [type(error).__name__])[0]
