"""One shard through an engine, so that a text that it cannot score costs itself and not its shard."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from decant.errors import DecantError
from decant.models.scorer import Scores
from decant.score.engines import Forward, Refused
from decant.score.prompts import Prompt

MOST = 32  # prompts of one shard that may fail alone; with more, the engine is held to be at fault
NOT_FINITE = "the engine gives a score that is not a finite number"


@dataclass(frozen=True)
class Outcome:
    """What an engine made of a shard.

    Args:
        values: float32, shape (prompts,) or (prompts, dimension); NaN where there is a fault.
        faults: prompt's number → why it has no score.
    """

    values: Scores
    faults: dict[int, str]


def forward_shard(forward: Forward, prompts: Sequence[Prompt]) -> Outcome:
    """Run a shard at once; where that fails, halve it until those that fail are alone.

    Args:
        forward: the engine.
        prompts: of the shard, at least one.

    Raises:
        Exception: what the engine raised, where that is not for what it was given: a DecantError other than
            `Refused`, or anything that the shard's first and last prompt raise as well, each alone.
        DecantError: more than `MOST` prompts fail.
    """
    found: dict[int, Scores] = {}
    faults: dict[int, str] = {}
    try:
        _keep_finite(forward(prompts), range(len(prompts)), found)
    except Exception as error:
        ends = (prompts[:1], prompts[-1:]) if len(prompts) > 2 else ()
        if _is_engines(error) or (ends and all(_fails(forward, end) for end in ends)):
            raise
        _halve(forward, prompts, range(len(prompts)), found, faults, error)
    for index in range(len(prompts)):  # what is not finite may be so for its neighbours: once more, alone
        if index not in found and index not in faults:
            _alone(forward, prompts, index, found, faults)
    width = next(iter(found.values())).shape if found else ()
    values: Scores = np.full((len(prompts), *width), np.nan, dtype=np.float32)
    for index, value in found.items():
        values[index] = value
    return Outcome(values, faults)


def _halve(
    forward: Forward,
    prompts: Sequence[Prompt],
    chosen: range,
    found: dict[int, Scores],
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
            _keep_finite(forward(prompts[half.start : half.stop]), half, found)
        except Exception as error:
            if _is_engines(error):
                raise
            _halve(forward, prompts, half, found, faults, error)


def _alone(
    forward: Forward, prompts: Sequence[Prompt], index: int, found: dict[int, Scores], faults: dict[int, str]
) -> None:
    try:
        _keep_finite(forward(prompts[index : index + 1]), range(index, index + 1), found)
    except Exception as error:
        if _is_engines(error):
            raise
        _set_aside(index, _words(error), faults, prompts)
    else:
        if index not in found:
            _set_aside(index, NOT_FINITE, faults, prompts)


def _keep_finite(values: Scores, places: range, found: dict[int, Scores]) -> None:
    finite = np.isfinite(values.reshape(len(places), -1)).all(axis=1)
    found |= {
        index: value for index, value, good in zip(places, values, np.asarray(finite).tolist(), strict=True) if good
    }


def _set_aside(index: int, reason: str, faults: dict[int, str], prompts: Sequence[Prompt]) -> None:
    faults[index] = reason
    if len(faults) > MOST:
        raise DecantError(
            f"more than {MOST} texts of a shard of {len(prompts)} have no score; the last: {reason}",
            "the engine or its settings are at fault, not the texts: look at teacher.dtype (float16 overflows where "
            "bfloat16 and float32 do not), max_length and batch_size, and at the engine's own words above",
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
