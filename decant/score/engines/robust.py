"""One shard through an engine, so that a text that it cannot score costs itself and not its shard."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    "and float32 do not), max_length and batch_size, and at the engine's own words above"
)


@dataclass(frozen=True)
class Outcome:
    """What an engine made of a shard.

    Args:
        values: float32, shape (prompts,) or (prompts, dimension); NaN where there is a fault.
        faults: prompt's number → why it has no score.
    """

    values: Scores
    faults: dict[int, str]


def run_shard(teacher: Teacher, folder: Path, shard: Sequence[Prompt]) -> Outcome:
    """Run a shard in a process that has an engine of its own, loaded at the first call."""
    return forward_shard(_engine(teacher, folder), shard, functools.partial(plain_prompts, teacher, folder))


@functools.cache
def _engine(teacher: Teacher, folder: Path) -> Forward:
    return load_forward(teacher, folder)


def plain_prompts(teacher: Teacher, folder: Path) -> list[Prompt]:
    """What the model reads of a pair of single words, which every sound engine can score."""
    return list(make_prompts(teacher, folder).parts("a", "a", "").values())


def forward_shard(forward: Forward, prompts: Sequence[Prompt], plain: Callable[[], Sequence[Prompt]]) -> Outcome:
    """Run a shard at once; where that fails, halve it until those that fail are alone.

    Args:
        forward: the engine.
        prompts: of the shard, at least one.
        plain: makes prompts that a sound engine can score; it is called where none of one or two prompts has a score.

    Raises:
        Exception: what the engine raised, where that is not for what it was given: a DecantError other than
            `Refused`, or anything that the shard's first and last prompt raise as well, each alone, or the plain ones.
        DecantError: more than `MOST` prompts fail, or the plain ones have no finite score.
    """
    scored: dict[int, Scores] = {}
    faults: dict[int, str] = {}
    try:
        _keep_finite(forward(prompts), range(len(prompts)), scored)
    except Exception as error:
        ends = (prompts[:1], prompts[-1:]) if len(prompts) > 2 else ()
        if _is_engines(error) or (ends and all(_fails(forward, end) for end in ends)):
            raise
        _halve(forward, prompts, range(len(prompts)), scored, faults, error)
    for index in range(len(prompts)):  # what is not finite may be so for its neighbours: once more, alone
        if index not in scored and index not in faults:
            _alone(forward, prompts, index, scored, faults)
    if len(prompts) <= 2 and not scored and not np.isfinite(forward(plain())).all():
        raise DecantError(f"the engine has no finite score for any text, such as {faults[0]}", REMEDY)
    width = next(iter(scored.values())).shape if scored else ()
    values: Scores = np.full((len(prompts), *width), np.nan, dtype=np.float32)
    for index, value in scored.items():
        values[index] = value
    return Outcome(values, faults)


def _halve(
    forward: Forward,
    prompts: Sequence[Prompt],
    chosen: range,
    scored: dict[int, Scores],
    faults: dict[int, str],
    cause: Exception,
) -> None:
    """Score the chosen prompts, which failed together for the cause."""
    if len(chosen) == 1:
        _set_aside(chosen[0], _words(cause), faults, prompts)
        return
    middle = len(chosen) // 2
    for half in (chosen[:middle], chosen[middle:]):
        try:
            _keep_finite(forward(prompts[half.start : half.stop]), half, scored)
        except Exception as error:
            if _is_engines(error):
                raise
            _halve(forward, prompts, half, scored, faults, error)


def _alone(
    forward: Forward, prompts: Sequence[Prompt], index: int, scored: dict[int, Scores], faults: dict[int, str]
) -> None:
    try:
        _keep_finite(forward(prompts[index : index + 1]), range(index, index + 1), scored)
    except Exception as error:
        if _is_engines(error):
            raise
        _set_aside(index, _words(error), faults, prompts)
    else:
        if index not in scored:
            _set_aside(index, NOT_FINITE, faults, prompts)


def _keep_finite(values: Scores, places: range, scored: dict[int, Scores]) -> None:
    finite = np.isfinite(values.reshape(len(places), -1)).all(axis=1)
    scored |= {
        index: value for index, value, good in zip(places, values, np.asarray(finite).tolist(), strict=True) if good
    }


def _set_aside(index: int, reason: str, faults: dict[int, str], prompts: Sequence[Prompt]) -> None:
    faults[index] = reason
    if len(faults) > MOST:
        raise DecantError(
            f"more than {MOST} texts of a shard of {len(prompts)} have no score; the last: {reason}", REMEDY
        )


def _fails(forward: Forward, prompts: Sequence[Prompt]) -> bool:
    try:
        forward(prompts)
    except Exception:
        return True
    return False


def _is_engines(error: Exception) -> bool:
    """Whether an error is the engine's own, and not for what it was given."""
    return isinstance(error, DecantError) and not isinstance(error, Refused)


def _words(error: Exception) -> str:
    words = error.problem if isinstance(error, DecantError) else f"{type(error).__name__}: {error}"
    return (words.strip().splitlines() or [type(error).__name__])[0]
