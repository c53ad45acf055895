"""What there is to tell of a model's runs beside them, kept in their file's metadata."""

import json
from pathlib import Path
from typing import TypedDict

import pyarrow.parquet as pq

from decant.evaluate.cuts import Cuts

KEY = "decant"


class Told(TypedDict):
    """Of the trained student; both are empty of other models.

    `cut` is what it cuts of the test splits. `matches` is domain → data set → what its threshold gets right there, see
    `decant.evaluate.metrics.matches`, and that under `score`; empty where the student has no threshold.
    """

    cut: Cuts
    matches: dict[str, dict[str, dict[str, float]]]


def to_metadata(told: Told) -> dict[str, str]:
    """What `read_told` reads, as the metadata of a Parquet file."""
    return {KEY: json.dumps(told, ensure_ascii=False)}


def read_told(path: Path) -> Told:
    """What is told in the file of a model's runs."""
    told: Told = json.loads((pq.read_metadata(path).metadata or {}).get(KEY.encode(), b'{"cut": {}, "matches": {}}'))
    return told
