"""Evaluate a student on the pydocs test set, against sentence-transformers' RerankingEvaluator.

    python -m benchmarks.evaluate

Decant encodes each distinct text once, the evaluator every candidate of every query. Baseline: the evaluator. The bar
is 0.9 × the factor by which texts repeat, with the same means to 1e-6. Needs `dvc repro evaluate_after@embedding`.
"""

import time
from pathlib import Path

from sentence_transformers.sentence_transformer.evaluation import RerankingEvaluator

from decant.data.sets import read_split
from decant.evaluate.run import evaluate
from decant.models.bi_encoder import load, make_scorer

BATCH_SIZE = 32
ROUNDS = 3


def main() -> None:
    """Print both times, their ratio and the bar; alternate the two, and take each one's fastest round."""
    split = read_split(Path("data/sets/pydocs/test.parquet"))
    model = load(Path("models/embedding"))
    samples = [{"query": row.query, "positive": row.positive, "negative": row.negative} for row in split.rows]
    evaluator = RerankingEvaluator(samples, batch_size=BATCH_SIZE, write_csv=False)
    scorer = make_scorer(model, None)
    texts = [text for row in split.rows for text in (row.query, *row.candidates)]
    repeats = len(texts) / len(set(texts))

    theirs, ours = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        expected = evaluator(model)
        theirs.append(time.perf_counter() - start)
        start = time.perf_counter()
        means = evaluate(scorer, split).means()
        ours.append(time.perf_counter() - start)
    differences = [abs(means[name] - expected[name]) for name in means]
    ratio = min(theirs) / min(ours)
    print(f"texts {len(texts)}, distinct {len(set(texts))}: each is repeated {repeats:.2f} times")
    print(f"RerankingEvaluator {min(theirs):.2f} s, Decant {min(ours):.2f} s: {ratio:.2f} times as fast")
    print(f"bar: 0.9 × {repeats:.2f} = {0.9 * repeats:.2f}; {'met' if ratio >= 0.9 * repeats else 'MISSED'}")
    print(f"largest difference of a mean: {max(differences):.1e}")


if __name__ == "__main__":
    main()
