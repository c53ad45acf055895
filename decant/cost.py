"""Size and speed of a model: what a smaller student is for. These figures vary from run to run."""

import math
import time
from pathlib import Path
from typing import Any

from safetensors import safe_open

from decant.dataset import Split
from decant.engines import Scorer

SAMPLE_PAIRS = 1000


def model_size(folder: Path) -> dict[str, int]:
    """Parameters and bytes of the safetensors in a model's folder, read from their headers."""
    parameters = size = 0
    for path in sorted(folder.glob("*.safetensors")):
        size += path.stat().st_size
        with safe_open(path, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (no iterator)
                tensor = tensors.get_slice(name)
                if "F" in tensor.get_dtype():  # F32, BF16, F8_E4M3; integers are positions and other buffers
                    parameters += math.prod(tensor.get_shape())
    return {"parameters": parameters, "bytes": size}


def pairs_per_second(scorer: Scorer, split: Split) -> dict[str, Any]:
    """Time the reranking of the first queries of a set, about 1,000 pairs, after a warm-up on one query.

    A bi-encoder encodes each distinct text once, queries included; a cross-encoder reads every pair.
    """
    queries: list[str] = []
    candidates: list[str] = []
    for row in split.rows:
        if len(queries) >= SAMPLE_PAIRS:
            break
        queries += [row.query] * len(row.candidates)
        candidates += row.candidates
    warm_up = len(split.rows[0].candidates)
    scorer.score(queries[:warm_up], candidates[:warm_up], split.task)
    start = time.perf_counter()
    scorer.score(queries, candidates, split.task)
    seconds = time.perf_counter() - start
    return {"pairs_per_second": round(len(queries) / seconds, 1), "sample_pairs": len(queries)}
