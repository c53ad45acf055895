"""Shards, a teacher on Ray, and the processes of Ray: for tests and for the scripts that they start."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from decant.score.engines.pool import InProcess
from decant.score.engines.robust import AHEAD, NOT_FINITE, Outcome
from decant.score.prompts import EmbeddingPrompts, Prompt
from decant.score.settings import Teacher
from tests.support import tiny_models as tiny

SHARDS = 24

__all__ = [
    "AHEAD",
    "NOT_FINITE",
    "SHARDS",
    "InProcess",
    "Outcome",
    "Path",
    "actors",
    "check",
    "psutil",
    "shards",
    "teacher_of",
    "time",
    "wait_until",
]


def teacher_of(folder: Path, **more: object) -> Teacher:
    block = {"engines": 2, "engine_pool": "ray", **more}
    return tiny.teacher("bi_encoder", "sentence-transformers", folder, 128, **block)


def shards(model: Path) -> Iterator[tuple[int, Sequence[Prompt]]]:
    """Shards whose numbers are not those of their order; each is built when it is asked for."""
    prompts = EmbeddingPrompts(model, 128, None, None)
    for number in range(SHARDS):
        texts = [f"acute {'heart ' * (index % 7)} {number} {index}" for index in range(20 + number)]
        texts[number % 5] += " fever" * (number % 3 == 0)
        yield 1000 - number, prompts.build([("document", text) for text in texts], "")


def check(found: dict[int, Outcome], expected: dict[int, Outcome]) -> None:
    assert found.keys() == expected.keys()
    for number, outcome in expected.items():
        assert found[number].values.tobytes() == outcome.values.tobytes()
        assert found[number].values.dtype == outcome.values.dtype
        assert found[number].faults == outcome.faults


def actors(of: psutil.Process | None = None, title: str = "(_Engine)") -> list[psutil.Process]:
    """The running processes of Ray that this one started, and whose title holds the words."""
    found = []
    for process in (of or psutil.Process()).children(recursive=True):
        try:
            if title in process.cmdline()[0]:
                found.append(process)
        except (psutil.Error, IndexError):
            continue
    return found


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
