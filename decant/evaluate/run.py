"""Evaluate a scorer on a reranking set: a run, its metrics per query, and their means."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from decant import paths
from decant.data.scores import files_of, read_scores, scores_for
from decant.data.sets import Row, Split
from decant.errors import DecantError
from decant.evaluate.cuts import Cuts
from decant.evaluate.metrics import METRICS, query_metrics
from decant.evaluate.metrics.matches import measure_matches
from decant.evaluate.told import Told, to_metadata
from decant.files import atomic_file, read_json, write_json
from decant.models.scorer import EmbeddingScorer, Scorer, Scores

DOMAINS = ("in_domain", "out_of_domain")

LISTS = [("labels", pa.list_(pa.int8())), ("scores", pa.list_(pa.float32()))]
COLUMNS = [*((name, pa.string()) for name in ("domain", "dataset", "query")), *LISTS]  # and one a metric
GAINS = ("gains", pa.list_(pa.int8()))  # a column where a set has grades; null in the rows of a set that has none

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One model's scores for the candidates of every query, in the set's order, with the metrics of each query.

    `gains` are the grades of the candidates, or their labels in rows without grades; empty where no row has grades.
    `sets` names the set that a union has each query from; empty where the set is no union. `shortened` has the runs of
    the same embeddings, shortened, by how many numbers they keep.
    """

    queries: list[str]
    labels: list[list[int]]
    scores: list[Scores]
    metrics: list[dict[str, float]]
    gains: list[list[int]] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    shortened: dict[int, "Run"] = field(default_factory=dict)

    def means(self) -> dict[str, float]:
        """The mean of each metric over the queries, to 6 decimals."""
        values = np.array([list(query.values()) for query in self.metrics])
        return {name: round(float(mean), 6) for name, mean in zip(METRICS, values.mean(axis=0), strict=True)}

    def parts(self) -> dict[str, "Run"]:
        """The runs of a union's sets, by their names; none where the set is no union."""
        return {name: self._part([each == name for each in self.sets]) for name in dict.fromkeys(self.sets)}

    def named(self, dataset: str) -> dict[str, "Run"]:
        """All runs on a data set: itself, its parts, and those shortened to so many numbers, as `<name>@<numbers>`."""
        whole = {dataset: self, **self.parts()}
        short = [(number, run.named(dataset)) for number, run in self.shortened.items()]
        return whole | {f"{name}@{number}": run for number, runs in short for name, run in runs.items()}

    def _part(self, chosen: Sequence[bool]) -> "Run":
        return Run(
            list(compress(self.queries, chosen)),
            list(compress(self.labels, chosen)),
            list(compress(self.scores, chosen)),
            list(compress(self.metrics, chosen)),
            list(compress(self.gains, chosen)),
        )


def evaluate(scorer: Scorer, split: Split, dimensions: Sequence[int] = ()) -> Run:
    """Score every candidate of every query of a labelled split and rank them.

    Args:
        scorer: of embeddings, where there are dimensions.
        split: labelled.
        dimensions: to which embeddings are shortened as well, for runs of their own. Each text is encoded once.

    Raises:
        DecantError: there are no embeddings to shorten or they are shorter, and what `run_from_scores` raises.
    """
    if not dimensions:
        parts = [[score_rows(scorer, part.rows, part.task)] for part in split.parts()]
    elif isinstance(scorer, EmbeddingScorer):
        parts = [scorer.score_shortened(*_pairs(part.rows), part.task, dimensions) for part in split.parts()]
    else:
        raise DecantError(f"a {scorer.kind} makes no embeddings to shorten", "leave the dimensions out")
    scores = [np.concatenate(of_parts) for of_parts in zip(*parts, strict=True)]
    whole, *short = (run_from_scores(split.rows, each, scorer.kind) for each in scores)
    return replace(whole, shortened=dict(zip(dimensions, short, strict=True)))


def score_rows(scorer: Scorer, rows: Sequence[Row], task: str) -> Scores:
    """The scores of all candidates of all rows, in their order, shape (pairs,)."""
    return scorer.score(*_pairs(rows), task)


def _pairs(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """The query and the candidate of each pair of the rows."""
    return [row.query for row in rows for _ in row.candidates], [text for row in rows for text in row.candidates]


def run_from_scores(rows: Sequence[Row], scores: Scores, kind: str) -> Run:
    """Make a run of scores that exist already.

    Args:
        rows: a labelled split.
        scores: one a pair, in the order of the rows and their candidates, shape (pairs,).
        kind: of the model that scored.

    Raises:
        DecantError: a score is missing or not a finite number, or a row has no labels.
    """
    counts = [len(row.candidates) for row in rows]
    if len(scores) != sum(counts):
        raise DecantError(f"{len(scores)} scores for {sum(counts)} pairs", "run `dvc repro score`")
    if not np.isfinite(scores).all():
        raise DecantError(
            f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite numbers",
            "look at the model: its weights or its dtype overflow",
        )
    if unlabelled := next((row.query for row in rows if row.unlabelled), None):
        raise DecantError(f"the query {unlabelled[:60]!r} has no labels", "evaluate on a labelled split")
    labels = [[1] * len(row.positive) + [0] * len(row.negative) for row in rows]
    gains = [row.gains for row in rows]
    parts = np.split(scores, np.cumsum(counts)[:-1])
    metrics = [
        query_metrics(np.array(marks, np.float64), part, kind, np.array(gain, np.float64))
        for marks, gain, part in zip(labels, gains, parts, strict=True)
    ]
    graded = any(row.grades for row in rows)
    sets = [row.set for row in rows if row.set]
    return Run([row.query for row in rows], labels, parts, metrics, gains if graded else [], sets)


def teacher_runs(folder: Path, sets: Mapping[str, str], splits: Mapping[str, Split], kind: str) -> dict[str, Run]:
    """The runs of a teacher of this kind, by data set, from its track's folder of scores.

    `sets` is domain → name of the data set, `splits` the test splits by these names. Quarantined pairs rank below all
    others of their query.
    """
    files = read_json(folder / "manifest.json")["files"]
    runs = {}
    for domain, dataset in sets.items():
        name, rows = f"test_{domain}", splits[dataset].rows
        quarantined = sum(files[f"{file}.parquet"]["quarantined"] for file in files_of(folder, name).values())
        scores = scores_for(read_scores(folder, name), rows, quarantined)
        runs[dataset] = run_from_scores(rows, scores, kind)
    return runs


def evaluated_as_teacher(track: str) -> None:
    """Write as the untouched model's what was written as the teacher's, which is the same model."""
    for folder, ending in ((paths.RUNS, "parquet"), (paths.METRICS, "json")):
        with atomic_file(folder / track / f"baseline.{ending}") as partial:
            shutil.copyfile(folder / track / f"teacher.{ending}", partial)


def write_results(
    track: str,
    model: str,
    sets: Mapping[str, str],
    runs: Mapping[str, Run],
    cut: Cuts | None = None,
    threshold: float | None = None,
) -> Any:
    """Write data/runs/<track>/<model>.parquet and metrics/<track>/<model>.json.

    `sets` is domain → name of the data set; `runs` is by these names, and empty for a baseline that is off. `cut` is
    what the model cuts, where that was counted. With a `threshold` of its raw scores, what that gets right on each
    set and its parts is told in the file of the runs: shortened embeddings score otherwise.

    Returns:
        the content of the metrics: domain → data set → metric → mean; after a data set what `Run.named` has of it.
    """
    ranked = {domain: runs[dataset].named(dataset) for domain, dataset in sets.items() if dataset in runs}
    means = {domain: {name: run.means() for name, run in by_name.items()} for domain, by_name in ranked.items()}
    told = Told(cut=cut or {}, matches={})
    if threshold is not None:
        for domain, dataset in sets.items():
            for name, run in {dataset: runs[dataset], **runs[dataset].parts()}.items():
                right = measure_matches(run.labels, run.scores, threshold)
                told["matches"].setdefault(domain, {})[name] = {"score": round(threshold, 6), **right}
    write_runs(paths.RUNS / track / f"{model}.parquet", ranked, told)
    write_json(paths.METRICS / track / f"{model}.json", means)
    return means


def write_runs(path: Path, runs: Mapping[str, Mapping[str, Run]], told: Told | None = None) -> None:
    """Write the runs of one model, domain → name of the data set → run, as Parquet, a row a query."""
    rows = [
        {"domain": domain, "dataset": dataset, "query": query, **lists, **metrics}
        for domain, sets in runs.items()
        for dataset, run in sets.items()
        for query, lists, metrics in zip(run.queries, _lists(run), run.metrics, strict=True)
    ]
    graded = any(run.gains for sets in runs.values() for run in sets.values())
    schema = pa.schema([*COLUMNS, *([GAINS] if graded else []), *((name, pa.float64()) for name in METRICS)])
    if told and any(told.values()):
        schema = schema.with_metadata(to_metadata(told))
    with atomic_file(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), partial, compression="zstd")


def _lists(run: Run) -> Iterator[dict[str, list[Any]]]:
    """The labels, the scores and, where the set has grades, the gains of each query."""
    for number, (labels, scores) in enumerate(zip(run.labels, run.scores, strict=True)):
        gains = {"gains": run.gains[number]} if run.gains else {}
        yield {"labels": labels, "scores": scores.tolist(), **gains}


def by_test_set(table: pa.Table) -> Iterator[tuple[str, str, pa.Table, dict[str, Values]]]:
    """Domain, data set, rows, and metric → one value a query, of each test set in what `write_runs` wrote."""
    domains, datasets = (table[name].to_numpy(zero_copy_only=False) for name in ("domain", "dataset"))
    for domain, dataset in dict.fromkeys(zip(domains.tolist(), datasets.tolist(), strict=True)):
        part = table.filter((domains == domain) & (datasets == dataset))
        yield domain, dataset, part, {name: part[name].to_numpy() for name in METRICS}


def read_metrics(path: Path) -> dict[str, dict[str, dict[str, Values]]]:
    """Read what `write_runs` wrote, as domain → data set → metric → one value a query."""
    metrics: dict[str, dict[str, dict[str, Values]]] = {}
    for domain, dataset, _, values in by_test_set(pq.read_table(path, columns=["domain", "dataset", *METRICS])):
        metrics.setdefault(domain, {})[dataset] = values
    return metrics
