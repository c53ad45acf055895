"""The test queries with their candidates, as the models ranked them: what the page's charts and its explorer show."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant.errors import DecantError
from decant.report.statistics import Values

RANKING = ("before", "after", "teacher")  # the models that are looked at query by query


class RankedSet(NamedTuple):
    """One test set of a track."""

    track: str
    domain: str  # in words
    dataset: str
    queries: list[str]
    candidates: list[list[str]]  # of each query, positives first
    labels: list[list[int]]  # of each candidate
    scores: dict[str, list[Values]]  # model → of each query's candidates
    precision: dict[str, Values]  # model → average precision of each query

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"{self.track}: {self.dataset}, {self.domain}"

    @property
    def change(self) -> Values:
        """after − before, of each query's average precision."""
        return self.precision["after"] - self.precision["before"]


def read_ranked(track: str, runs: Path, splits: Mapping[str, tuple[str, Path]]) -> list[RankedSet]:
    """Read a track's test sets.

    Args:
        track: its name.
        runs: the folder with a Parquet file for each model.
        splits: domain → the name of its set, and the file of its test split.

    Raises:
        DecantError: a run is not of the split that is there.
    """
    tables = {model: pq.read_table(runs / f"{model}.parquet") for model in RANKING}
    return [
        _read(track, domain, dataset, path, {model: _rows(table, dataset) for model, table in tables.items()})
        for domain, (dataset, path) in splits.items()
    ]


def ranks(scores: Values) -> list[int]:
    """The rank of each candidate, from 1, by descending score; of equal scores the first comes first."""
    places = np.empty(len(scores), dtype=np.int64)
    places[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return [int(place) for place in places]


def _rows(table: pa.Table, dataset: str) -> pa.Table:
    return table.filter(pc.field("dataset") == dataset)


def _read(track: str, domain: str, dataset: str, path: Path, runs: Mapping[str, pa.Table]) -> RankedSet:
    split = pq.read_table(path, columns=["query", "positive", "negative"]).to_pylist()
    queries = [row["query"] for row in split]
    if any(run["query"].to_pylist() != queries for run in runs.values()):
        raise DecantError(
            f"{track}: the runs on {dataset} are not of {path} as it is now", f"run `dvc repro evaluate_after@{track}`"
        )
    return RankedSet(
        track,
        domain.replace("_", "-"),
        dataset,
        queries,
        [[*row["positive"], *row["negative"]] for row in split],
        runs["after"]["labels"].to_pylist(),
        {
            model: [np.array(scores, dtype=np.float64) for scores in run["scores"].to_pylist()]
            for model, run in runs.items()
        },
        {model: run["map"].to_numpy() for model, run in runs.items()},
    )


def agreement(ranked: RankedSet, model: str) -> float | None:
    """Spearman's rank correlation of a model's scores with the teacher's, the mean over queries; None without any."""
    found = [
        float(np.corrcoef(ranks(mine), ranks(others))[0, 1])
        for mine, others in zip(ranked.scores[model], ranked.scores["teacher"], strict=True)
        if len(mine) > 1
    ]
    return float(np.mean(found)) if found else None
