"""Evaluate a scorer on a reranking set: a run, its metrics per query, and their means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from decant import paths
from decant.data.scores import read_scores, scores_for
from decant.data.sets import Row, Split
from decant.errors import DecantError
from decant.evaluate.metrics import METRICS, query_metrics
from decant.files import atomic_file, read_json, write_json
from decant.models.scorer import Scorer

DOMAINS = ("in_domain", "out_of_domain")

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One model's scores for the candidates of every query, in the set's order, with the metrics of each query."""

    queries: list[str]
    labels: list[list[int]]
    scores: list[npt.NDArray[np.float32]]
    metrics: list[dict[str, float]]

    def means(self) -> dict[str, float]:
        """The mean of each metric over the queries, to 6 decimals."""
        values = np.array([list(query.values()) for query in self.metrics])
        return {name: round(float(mean), 6) for name, mean in zip(METRICS, values.mean(axis=0), strict=True)}


Runs = Mapping[str, Mapping[str, Run]]
"""Domain → name of the data set → the model's run; empty for a baseline that is off."""


def evaluate(scorer: Scorer, split: Split) -> Run:
    """Score every candidate of every query and rank them.

    Args:
        scorer: the model.
        split: a labelled split.
    """
    queries = [row.query for row in split.rows for _ in row.candidates]
    candidates = [text for row in split.rows for text in row.candidates]
    return run_from_scores(split.rows, scorer.score(queries, candidates, split.task), scorer.kind)


def run_from_scores(rows: Sequence[Row], scores: npt.NDArray[np.float32], kind: str) -> Run:
    """Make a run of scores that exist already.

    Args:
        rows: a labelled split.
        scores: one a pair, in the order of the rows and their candidates, shape (pairs,).
        kind: of the model that scored.

    Raises:
        DecantError: a score is not a finite number, or a row has no labels.
    """
    if len(scores) != sum(len(row.candidates) for row in rows):
        raise DecantError(
            f"{len(scores)} scores for {sum(len(row.candidates) for row in rows)} pairs", "run `dvc repro score`"
        )
    if not np.isfinite(scores).all():
        raise DecantError(
            f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite numbers",
            "look at the model: its weights or its dtype overflow",
        )
    split = np.split(scores, np.cumsum([len(row.candidates) for row in rows])[:-1])
    labels = []
    for row in rows:
        if row.unlabelled:
            raise DecantError(f"the query {row.query[:60]!r} has no labels", "evaluate on a labelled split")
        labels.append([1] * len(row.positive) + [0] * len(row.negative))
    metrics = [
        query_metrics(np.asarray(query_labels, dtype=np.float64), part, kind)
        for query_labels, part in zip(labels, split, strict=True)
    ]
    return Run([row.query for row in rows], labels, split, metrics)


def teacher_runs(folder: Path, sets: Mapping[str, str], splits: Mapping[str, Split], kind: str) -> dict[str, Run]:
    """The runs of a teacher's scores, by data set; quarantined pairs rank below all others of their query.

    Args:
        folder: of a track's scores.
        sets: domain → name of the data set.
        splits: the sets' test splits, by their names.
        kind: of the teacher.
    """
    files = read_json(folder / "manifest.json")["files"]
    runs = {}
    for domain, dataset in sets.items():
        name, rows = f"test_{domain}", splits[dataset].rows
        scores = scores_for(read_scores(folder, name), rows, files[f"{name}.parquet"]["quarantined"])
        runs[dataset] = run_from_scores(rows, scores, kind)
    return runs


def write_results(track: str, model: str, sets: Mapping[str, str], runs: Mapping[str, Run]) -> Any:
    """Write data/runs/<track>/<model>.parquet and metrics/<track>/<model>.json.

    Args:
        track: whose model it is.
        model: such as "after".
        sets: domain → name of the data set.
        runs: name of the data set → run; empty for a baseline that is off.

    Returns:
        the content of the metrics: domain → data set → metric → mean.
    """
    ranked = {domain: {dataset: runs[dataset]} for domain, dataset in sets.items() if dataset in runs}
    means = {domain: {name: run.means() for name, run in by_name.items()} for domain, by_name in ranked.items()}
    write_runs(paths.RUNS / track / f"{model}.parquet", ranked)
    write_json(paths.METRICS / track / f"{model}.json", means)
    return means


def write_runs(path: Path, runs: Runs) -> None:
    """Write the runs of one model, a row a query."""
    schema = pa.schema(
        [
            ("domain", pa.string()),
            ("dataset", pa.string()),
            ("query", pa.string()),
            ("labels", pa.list_(pa.int8())),
            ("scores", pa.list_(pa.float32())),
            *((name, pa.float64()) for name in METRICS),
        ]
    )
    tables = [schema.empty_table()]
    for domain, sets in runs.items():
        for dataset, run in sets.items():
            count = len(run.queries)
            columns = [
                [domain] * count,
                [dataset] * count,
                run.queries,
                run.labels,
                [scores.tolist() for scores in run.scores],
                *([query[name] for query in run.metrics] for name in METRICS),
            ]
            tables.append(pa.table(columns, schema=schema))
    with atomic_file(path) as partial:
        pq.write_table(pa.concat_tables(tables), partial, compression="zstd")


def by_test_set(table: pa.Table) -> dict[str, dict[str, pa.Table]]:
    """The rows of what `write_runs` wrote, by domain and data set."""
    domains, datasets = (table[name].to_numpy(zero_copy_only=False) for name in ("domain", "dataset"))
    parts: dict[str, dict[str, pa.Table]] = {}
    for domain, dataset in dict.fromkeys(zip(domains.tolist(), datasets.tolist(), strict=True)):
        parts.setdefault(domain, {})[dataset] = table.filter((domains == domain) & (datasets == dataset))
    return parts


def read_metrics(path: Path) -> dict[str, dict[str, dict[str, Values]]]:
    """Read what `write_runs` wrote, as domain → data set → metric → one value a query."""
    table = pq.read_table(path, columns=["domain", "dataset", *METRICS])
    return {
        domain: {dataset: {name: part[name].to_numpy() for name in METRICS} for dataset, part in sets.items()}
        for domain, sets in by_test_set(table).items()
    }
