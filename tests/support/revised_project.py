"""A project of two stages, whose revisions tests compare: sets, runs and metrics as the project's own code writes them.

`knobs.yaml` stands in for training: how well the checkpoint ranks, and its seed.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from decant.data.sets import Row, Split, read_split, write_split
from decant.evaluate.run import run_from_scores, write_runs
from tests.support.project import ROOT, Project, shrink

SETS = {"embedding": ("icd10", "pydocs"), "reranker": ("pydocs", "icd10")}
PATHS = {"PYTHONPATH": str(ROOT)}
PIPELINE = """
stages:
  sets:
    cmd: python -m tests.support.revised_project sets
    params: [knobs.yaml: [queries, word, grade, ids]]
    outs: [data/sets/icd10, data/sets/pydocs]
  evaluate_after:
    foreach: [embedding, reranker]
    do:
      cmd: python -m tests.support.revised_project ${item}
      deps: [data/sets/icd10/test.parquet, data/sets/pydocs/test.parquet]
      params: [knobs.yaml: [skill, seed]]
      outs: ["data/runs/${item}/after.parquet"]
"""


def write_sets(folder: Path) -> None:
    """The test splits."""
    knobs = _knobs(folder)
    for name in SETS["embedding"]:
        rows = [
            Row(
                f"{name} {n}",
                [f"positive {n}"],
                [f"{knobs['word']} {n} {m}" for m in range(6)],
                grades=[knobs["grade"]] + [0] * 6 if knobs["grade"] else [],
                ids=[f"d{n}-{m}" for m in range(7)] if knobs["ids"] else [],
            )
            for n in range(knobs["queries"])
        ]
        write_split(folder / f"data/sets/{name}/test.parquet", Split(rows, ""))


def write_run(folder: Path, track: str) -> None:
    """A checkpoint's run: scores that all checkpoints share, its seed's own, and its skill."""
    knobs = _knobs(folder)
    runs = {}
    for domain, name in zip(("in_domain", "out_of_domain"), SETS[track], strict=True):
        rows = read_split(folder / f"data/sets/{name}/test.parquet").rows
        scores = np.random.default_rng(0).normal(size=(len(rows), 7))
        scores += 0.3 * np.random.default_rng(knobs["seed"]).normal(size=scores.shape)
        scores[:, 0] += knobs["skill"]
        runs[domain] = {name: run_from_scores(rows, scores.ravel().astype(np.float32), "bi_encoder")}
    write_runs(folder / f"data/runs/{track}/after.parquet", runs)


def begun(folder: Path) -> Project:
    """A project without a revision that has runs."""
    project = Project(folder)
    folder.mkdir()
    (folder / "dvc.yaml").write_text(PIPELINE)
    shutil.copy(ROOT / "params.yaml", folder)
    project.edit_params(shrink)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.dvc("init", "--quiet")
    set_knobs(project, seed=1)
    project.commit()
    return project


def set_knobs(project: Project, **knobs: object) -> None:
    content = {"queries": 60, "word": "other", "skill": 0, "grade": 0, "ids": False, **knobs}
    (project.folder / "knobs.yaml").write_text(json.dumps(content))


def make(project: Project, tag: str, **knobs: object) -> None:
    """Make a revision with all outputs, and tag it; the stages need not be run for DVC to record them."""
    set_knobs(project, **knobs)
    write_sets(project.folder)
    for track in SETS:
        write_run(project.folder, track)
    project.dvc("commit", "--quiet", "--force")
    project.commit()
    project.git("tag", tag)


def _knobs(folder: Path) -> dict:
    return YAML(typ="safe").load(folder / "knobs.yaml")


if __name__ == "__main__":
    if sys.argv[1] == "sets":
        write_sets(Path())
    else:
        write_run(Path(), sys.argv[1])
