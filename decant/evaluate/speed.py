"""Size and speed of a model: what a smaller student is for. These figures vary from run to run."""

import time
from typing import Any

from decant.data.sets import Split
from decant.models.scorer import Scorer

SAMPLE_PAIRS = 1000


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
