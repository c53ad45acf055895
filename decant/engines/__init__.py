"""Engines score query-candidate pairs; a new engine is one file here and one line in `ENGINES`.

An engine is a function from a `TeacherSpec` to a `Scorer`. Every scorer of one kind gives the same raw scores,
whatever its engine: the cosine of a bi-encoder, the raw logit of a cross-encoder.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from decant.errors import DecantError

Scores = npt.NDArray[np.float32]

ENGINES = {
    ("bi_encoder", "sentence-transformers"): "decant.engines.sentence_transformers:load_bi_encoder_teacher",
    ("cross_encoder", "sentence-transformers"): "decant.engines.sentence_transformers:load_cross_encoder_teacher",
}


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


class Scorer(Protocol):
    """A model that scores pairs."""

    kind: str

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:
        """Score pair i, (queries[i], candidates[i]), for all i.

        Args:
            queries: one a pair.
            candidates: one a pair.
            task: fills `{task}` in the query prompt.

        Returns:
            raw scores, float32, shape (pairs,).
        """
        ...


def check_engine(kind: str, engine: str) -> None:
    """Make sure that an engine for such teachers exists, before a model is downloaded for it.

    Raises:
        DecantError: this version has no such engine for such a kind.
    """
    if (kind, engine) not in ENGINES:
        known = "; ".join(f"{kind} on {engine}" for kind, engine in ENGINES)
        raise DecantError(
            f"teacher: this version has no engine {engine} for a {kind}",
            f"choose one of: {known}; or pull the scores that a colleague made (docs/sharing.md)",
        )


def load_engine(spec: TeacherSpec) -> Scorer:
    """Load a teacher into its engine.

    Raises:
        DecantError: this version has no such engine for such a kind.
    """
    check_engine(spec.kind, spec.engine)
    module, _, function = ENGINES[spec.kind, spec.engine].partition(":")
    scorer: Scorer = getattr(importlib.import_module(module), function)(spec)
    return scorer
