"""The small pipeline's project with a test set of a size that users have, and runs of it drawn at random."""

import random
from pathlib import Path
from typing import Any

import numpy as np

from decant import paths
from decant.data.sets import Row, Split, read_split, write_split
from decant.evaluate.run import read_metrics, run_from_scores, write_runs
from decant.report.comparison import NAMES
from tests.support.project import Project

LETTERS = "etaoinshrdlu"


def large(pipeline: Project, folder: Path, queries: int, candidates: int) -> Project:
    """A copy whose embedding track has a test set of that many queries; its texts are distinct, of 20 random words.

    No track has a set out of its domain.
    """

    def in_domain_alone(params: Any) -> None:
        params["retrieve"] = {}
        for track in ("embedding", "reranker"):
            params[track]["out_of_domain"] = None

    project = pipeline.copy(folder)
    project.edit_params(in_domain_alone)
    draw = random.Random(0)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(2, 9))) for _ in range(20_000)]

    def text() -> str:
        return " ".join(draw.choices(words, k=20))

    rows = [Row(text(), [text()], [text() for _ in range(candidates - 1)]) for _ in range(queries)]
    write_split(folder / paths.split("icd10", "test"), Split(rows, ""))
    others = read_split(folder / paths.split("pydocs", "test")).rows
    for track, name, of in (("embedding", "icd10", rows), ("reranker", "pydocs", others)):
        for model in NAMES:
            path = folder / paths.RUNS / track / f"{model}.parquet"
            if read_metrics(path):
                rng = np.random.default_rng(len(model))
                scores = [rng.normal(size=len(row.candidates)) + (np.arange(len(row.candidates)) < 1) for row in of]
                run = run_from_scores(of, np.concatenate(scores).astype(np.float32), "bi_encoder")
                write_runs(path, {"in_domain": {name: run}})
    return project
