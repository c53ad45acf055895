"""One run's MAP and MRR@10 as Decant, MTEB 1, MTEB 2 and trec_eval count them.

    dvc repro && python -m benchmarks.evaluators

Needs `pip install 'decant[mteb]'`. Each row is a run of data/runs/ on its test split, whose queries rank their own
candidates. MTEB 1's formulas are those of its `RerankingEvaluator` (scikit-learn's average precision; the rank of the
first positive, positives standing first among equal scores, as its candidates do); MTEB 2's and trec_eval's are their
own code.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytrec_eval
from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores
from sklearn.metrics import average_precision_score

from decant import paths
from decant.data.sets import read_split
from decant.evaluate.metrics import query_metrics
from decant.evaluate.trec import RankedSet, identified, read_ranked
from decant.kinds import TRACKS
from decant.params import load_params
from decant.report.table import table

MODELS = ("after", "bm25")


def main() -> None:
    """Print the table."""
    params, rows = load_params(paths.PARAMS), []
    for track in TRACKS:
        for domain, dataset in params.track(track).test_sets.items():
            for model in MODELS:
                run = paths.RUNS / track / f"{model}.parquet"
                ranked = read_ranked(run, domain, read_split(paths.split(dataset, "test")).rows)
                for measure, values in figures(ranked, "bm25" if model == "bm25" else TRACKS[track].name).items():
                    rows.append([f"{track}, {model}", dataset, measure, *(f"{value:.6f}" for value in values.values())])
    print(table(["run", "test set", "", "Decant", "MTEB 1", "MTEB 2", "trec_eval"], rows))


def figures(ranked: RankedSet, kind: str) -> dict[str, dict[str, float]]:
    """`MAP` and `MRR@10` of a run of a kind of model, by who counts."""
    run, qrels = dict[str, dict[str, float]](), dict[str, dict[str, int]]()
    for (query, documents), row, scores in zip(identified(ranked.rows), ranked.rows, ranked.scores, strict=True):
        run[query] = dict(zip(documents, map(float, scores), strict=True))
        qrels[query] = {name: int(label or 0) for name, label in zip(documents, row.labels, strict=True)}
    labels = [np.array(row.labels) for row in ranked.rows]
    scored = [np.array(scores, np.float32) for scores in ranked.scores]
    own = [
        query_metrics(marks.astype(np.float64), values, kind, marks.astype(np.float64))
        for marks, values in zip(labels, scored, strict=True)
    ]
    mteb = calculate_retrieval_scores(run, qrels, (10, 1000))
    return {
        "MAP": {
            "Decant": _mean(each["map"] for each in own),
            "MTEB 1": _mean(map(average_precision_score, labels, scored)),
            "MTEB 2": mteb.map["MAP@1000"],
            "trec_eval": _trec_eval(run, qrels, "map"),
        },
        "MRR@10": {
            "Decant": _mean(each["mrr@10"] for each in own),
            "MTEB 1": _mean(map(_first_positive, labels, scored)),
            "MTEB 2": mteb.mrr["MRR@10"],
            "trec_eval": _trec_eval(run, qrels, "recip_rank"),
        },
    }


def _first_positive(labels: Any, scores: Any) -> float:
    ranked = labels[np.argsort(-scores, kind="stable")][:10]
    return 1 / (1 + int(np.argmax(ranked))) if ranked.any() else 0.0


def _trec_eval(run: Mapping[str, Any], qrels: Mapping[str, Any], measure: str) -> float:
    """A measure of the best ten documents where it is `recip_rank`, which has no cut."""
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {measure})
    if measure == "recip_rank":
        run = {
            query: dict(sorted(found.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)[:10])
            for query, found in run.items()
        }
    return _mean(values[measure] for values in evaluator.evaluate(run).values())


def _mean(values: Any) -> float:
    return float(np.mean([float(value) for value in values]))


if __name__ == "__main__":
    main()
