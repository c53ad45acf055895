"""The score from which a student's best candidate counts as a match, kept in the student's own config."""

import math
from pathlib import Path
from typing import NamedTuple

from decant.files import read_json, write_json

CONFIG, KEY = "config_sentence_transformers.json", "decant"


class Threshold(NamedTuple):
    """Of a student's raw scores: cosines, or logits before any activation.

    Attributes:
        score: a best candidate that scores lower is shown to nobody.
        slope: of the logit of the probability that a best candidate of some score is a match.
        intercept: likewise.
    """

    score: float
    slope: float
    intercept: float

    def probability(self, score: float) -> float:
        """That the best candidate, which scores this, is a match."""
        return 0.5 + 0.5 * math.tanh((self.slope * score + self.intercept) / 2)  # logistic, and never overflows


def write_threshold(folder: Path, threshold: Threshold | None) -> None:
    """Put a threshold into the config of the student in a folder; the library that loads it passes over the key."""
    config = read_json(folder / CONFIG)
    write_json(folder / CONFIG, {**config, KEY: {"threshold": threshold and threshold._asdict()}})


def read_threshold(folder: Path) -> Threshold | None:
    """What `write_threshold` put there, if anything."""
    found = read_json(folder / CONFIG).get(KEY, {}).get("threshold")
    return found and Threshold(**found)
