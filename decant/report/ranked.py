"""The test queries with their candidates, as the models ranked them: what the page's charts and its explorer show."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.stats import rankdata, spearmanr

from decant.errors import DecantError
from decant.report.statistics import Values

RANKING = ("before", "after", "teacher")  # the models that are looked at query by query


class Ranking(NamedTuple):
    """What a model made of a test split, in the order of the split."""

    queries: list[str]
    scores: list[Values]  # of each query's candidates
    precision: Values  # average precision of each query


class RankedSet(NamedTuple):
    """One test set of a track; the rankings of the models in `RANKING`."""

    track: str
    domain: str  # in words
    dataset: str
    queries: list[str]
    candidates: list[list[str]]  # of each query, positives first
    positives: list[int]  # how many of them
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


def ranked_set(
    track: str, domain: str, dataset: str, rows: Sequence[Mapping[str, Any]], rankings: Mapping[str, Ranking]
) -> RankedSet:
    """A test set of the rows of its split and of the models' rankings.

    Raises:
        DecantError: a ranking is not of these rows.
    """
    candidates = [[*row["positive"], *row["negative"]] for row in rows]
    queries, counts = [row["query"] for row in rows], [len(texts) for texts in candidates]
    for model, of_model in rankings.items():
        if of_model.queries != queries or [len(scores) for scores in of_model.scores] != counts:
            raise DecantError(
                f"{track}: the run of {model} on {dataset} is not of the test split as it is now",
                f"`dvc repro` ranks it anew: run it, or `dvc repro evaluate_{model}@{track}`",
            )
    return RankedSet(
        track,
        domain.replace("_", "-"),
        dataset,
        queries,
        candidates,
        [len(row["positive"]) for row in rows],
        {model: of_model.scores for model, of_model in rankings.items()},
        {model: of_model.precision for model, of_model in rankings.items()},
    )


def read_ranked_sets(track: str, runs: Path, splits: Mapping[str, tuple[str, Path]]) -> list[RankedSet]:
    """Read a track's test sets.

    Args:
        track: its name.
        runs: the folder with a Parquet file for each model.
        splits: domain → the name of its set, and the file of its test split.

    Raises:
        DecantError: a run is not of the split that is there.
    """
    tables = {model: pq.read_table(runs / f"{model}.parquet") for model in RANKING}
    found = []
    for domain, (dataset, path) in splits.items():
        rows = pq.read_table(path, columns=["query", "positive", "negative"]).to_pylist()
        rankings = {model: _ranking(table.filter(pc.field("dataset") == dataset)) for model, table in tables.items()}
        found.append(ranked_set(track, domain, dataset, rows, rankings))
    return found


def _ranking(run: pa.Table) -> Ranking:
    scores = [np.array(of_query, dtype=np.float64) for of_query in run["scores"].to_pylist()]
    return Ranking(run["query"].to_pylist(), scores, run["map"].to_numpy())


def ranks(scores: Values) -> list[int]:
    """The rank of each candidate, from 1, by descending score; equal scores share the last of their places."""
    return [int(rank) for rank in rankdata(-scores, "max")]


def agreement(ranked: RankedSet, model: str) -> float | None:
    """Spearman's rank correlation of a model's scores with the teacher's, the mean over queries.

    Queries whose scores are all equal, by either of the two, are passed over; None where there is no other.
    """
    pairs = zip(ranked.scores[model], ranked.scores["teacher"], strict=True)
    found = [float(spearmanr(mine, others).statistic) for mine, others in pairs if np.ptp(mine) and np.ptp(others)]
    return float(np.mean(found)) if found else None
