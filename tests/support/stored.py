"""What tests put into a score store."""

import numpy as np
import pyarrow as pa

from decant.data.digests import digests


def some_keys(count: int, start: int = 0) -> np.ndarray:
    return digests(pa.array([f"text {number}" for number in range(start, start + count)]))


def quiet(_: str) -> None:
    """Tells nobody."""


def identity(**changed: object) -> dict[str, object]:
    """A teacher's identity, with what is changed of it."""
    return {"kind": "causal_lm", "model": "m", "max_length": 10, "prompts": {"pair": "x"}, **changed}
