"""A progress bar with a rate and an estimate on a terminal; silence in CI and in pipes."""

import os
import sys
from typing import Any

from tqdm import tqdm


def quiet() -> bool:
    """Whether progress is not to be shown: in CI, and where stderr is no terminal."""
    return bool(os.environ.get("CI")) or not sys.stderr.isatty()


def progress(total: int, unit: str) -> "tqdm[Any]":
    """A bar over `total` units. It is drawn only where stderr is a terminal and CI is not set."""
    return tqdm(total=total, unit=f" {unit}", disable=quiet(), leave=False, dynamic_ncols=True)
