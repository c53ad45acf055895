"""Long work, on a terminal as it goes and afterwards: bars with a rate, and how long each stage took."""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

DURATIONS = Path(".dvc/tmp/decant-durations.jsonl")  # of this checkout alone: neither git nor DVC looks there


def quiet() -> bool:
    """Whether progress is not to be shown: in CI, and where stderr is no terminal."""
    return bool(os.environ.get("CI")) or not sys.stderr.isatty()


def progress(total: int, unit: str) -> "tqdm[Any]":
    """A bar over `total` units. It is drawn only where stderr is a terminal and CI is not set."""
    return tqdm(total=total, unit=f" {unit}", disable=quiet(), leave=False, dynamic_ncols=True)


def note_duration(stage: str) -> None:
    """Keep how long this process has run, imports included, as a stage's; nothing where that cannot be written."""
    seconds = time.time() - psutil.Process().create_time()
    line = json.dumps({"stage": stage, "seconds": round(seconds, 1)}) + "\n"
    with suppress(OSError), DURATIONS.open("a", encoding="utf-8") as file:  # the stage is done, whatever happens here
        file.write(line)  # one short write: no other process's comes between


def durations() -> dict[str, float]:
    """How many seconds each stage took when it ran last in this checkout, in the order of their first runs."""
    took: dict[str, float] = {}
    with suppress(FileNotFoundError):
        for line in DURATIONS.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # of a write that was cut off
                read = json.loads(line)
                took[read["stage"]] = read["seconds"]
    return took
