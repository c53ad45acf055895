"""Evaluate a scorer on a reranking set: a run, its metrics per query, and their means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.sets import Row, Split
from decant.errors import DecantError
from decant.evaluate.metrics import METRICS, QueryMetrics, query_metrics
from decant.files import atomic_file
from decant.models.scorer import Scorer

DOMAINS = ("in_domain", "out_of_domain")

RUN_SCHEMA = pa.schema(
    [
        ("domain", pa.string()),
        ("query", pa.string()),
        ("labels", pa.list_(pa.int8())),
        ("scores", pa.list_(pa.float32())),
        *((name, pa.float64()) for name in METRICS),
    ]
)


@dataclass(frozen=True)
class Run:
    """One model's scores for the candidates of every query, in the set's order, with the metrics of each query."""

    queries: list[str]
    labels: list[list[int]]
    scores: list[npt.NDArray[np.float32]]
    metrics: list[QueryMetrics]

    def means(self) -> dict[str, float]:
        """The mean of each metric over the queries, to 6 decimals."""
        values = np.array([query.as_tuple() for query in self.metrics])
        return {name: round(float(mean), 6) for name, mean in zip(METRICS, values.mean(axis=0), strict=True)}


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
    metrics = [query_metrics(query_labels, part, kind) for query_labels, part in zip(labels, split, strict=True)]
    return Run([row.query for row in rows], labels, split, metrics)


def write_runs(path: Path, runs: Mapping[str, Run]) -> None:
    """Write the runs of one model, a row a query; the key says which domain the queries are of."""
    tables = []
    for domain, run in runs.items():
        values = list(zip(*(query.as_tuple() for query in run.metrics), strict=True))
        tables.append(
            pa.table(
                [[domain] * len(run.queries), run.queries, run.labels, [s.tolist() for s in run.scores], *values],
                schema=RUN_SCHEMA,
            )
        )
    with atomic_file(path) as partial:
        pq.write_table(pa.concat_tables(tables) if tables else RUN_SCHEMA.empty_table(), partial, compression="zstd")


def read_metrics(path: Path) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
    """Read what `write_runs` wrote, as domain → metric → one value a query."""
    table = pq.read_table(path, columns=["domain", *METRICS])
    domains = table.column("domain").to_numpy(zero_copy_only=False)
    return {
        domain: {name: table.column(name).to_numpy()[domains == domain] for name in METRICS}
        for domain in dict.fromkeys(domains.tolist())
    }
