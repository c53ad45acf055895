"""A project of three small stages in the place of the pipeline, whose ablations tests run through the real `dvc`.

Sets, runs and metrics are as the project's own code writes them; `loss.label_weight` stands in for training: it is how
well the checkpoint ranks, a tenth of `triplets.queries` added. Training waits while there is a file `hold` beside the
project, and writes a line to the file `trained` there; a `weight_decay` above 1 makes it fail.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from decant import paths
from decant.data.sets import Row, Split, read_split, write_split
from decant.errors import DecantError
from decant.evaluate.run import run_from_scores, write_runs
from decant.experiments.queue import is_worker
from decant.files import read_json, write_json
from decant.params import load_params
from stages import cli
from tests.support.project import ROOT, Project, path_of_the_queue, shrink

GRID = Path("ablations/parts.yaml")
PATHS = {"PYTHONPATH": str(ROOT)}
# By an interpreter of its own, for tests that kill it.
COMMAND = (sys.executable, "-u", "-m", "tests.support.command", "ablate")
SETS = {"in_domain": "icd10", "out_of_domain": "pydocs"}
PIPELINE = """
stages:
  sets:
    cmd: python -m tests.support.ablation_project sets
    params: [datasets.icd10]
    outs: [data/sets]
  train:
    foreach: [embedding]
    do:
      cmd: python -m tests.support.ablation_project train
      deps: [data/sets]
      params: [seed, "${item}.loss", "${item}.train", "${item}.triplets", train, baselines.labels_only]
      outs: ["models/${item}", "data/cost/${item}/train.json"]
  evaluate_after:
    foreach: [embedding]
    do:
      cmd: python -m tests.support.ablation_project evaluate
      deps: [data/sets, "models/${item}"]
      outs: ["data/runs/${item}/after.parquet"]
  evaluate_labels_only:
    foreach: [embedding]
    do:
      cmd: python -m tests.support.ablation_project labels_only
      deps: [data/sets, "models/${item}"]
      params: [baselines.labels_only]
      outs: ["data/runs/${item}/labels_only.parquet"]
  evaluate_teacher:
    foreach: [embedding]
    do:
      cmd: python -m tests.support.ablation_project teacher
      deps: [data/sets]
      outs: ["data/runs/${item}/teacher.parquet"]
  other:
    cmd: python -m tests.support.ablation_project nothing
"""
CELLS = """
seeds: [0, 1]
base:
  datasets.icd10.test: 20
cells:
  full:
    track: embedding
    says: the whole recipe
    set: {}
  labels-alone:
    track: embedding
    says: labels without the teacher
    set:
      embedding.loss.label_weight: 1.0
"""


def sets() -> None:
    for name in SETS.values():
        rows = [Row(f"{name} {n}", [f"good {n}"], [f"bad {n} {m}" for m in range(6)]) for n in range(20)]
        write_split(Path(f"data/sets/{name}/test.parquet"), Split(rows, ""))


def train() -> None:
    beside = Path(os.environ["ABLATED"])
    params = load_params(paths.PARAMS)
    track = params.track("embedding")
    with (beside / "trained").open("a") as file:
        file.write(f"{track.loss.label_weight:g} {params.seed}\n")
    while (beside / "hold").exists():
        time.sleep(0.1)
    if track.train.weight_decay > 1:
        raise DecantError("the loss is nan at step 3", "lower train.lr")
    skill = track.loss.label_weight + (track.triplets.queries or 0) / 10
    write_json(Path("models/embedding/knobs.json"), {"skill": skill, "seed": params.seed})
    write_json(paths.COST / "embedding" / "train.json", {"seconds": 7.0})


def evaluate(model: str = "after", share: float = 1.0) -> None:
    knobs = read_json(Path("models/embedding/knobs.json"))
    rank(model, share * knobs["skill"], knobs["seed"])


def rank(model: str, skill: float, seed: int) -> None:
    runs = {}
    for domain, name in SETS.items():
        rows = read_split(Path(f"data/sets/{name}/test.parquet")).rows
        scores = np.random.default_rng(seed).normal(size=(len(rows), 7))
        scores[:, 0] += 2 * skill
        runs[domain] = {name: run_from_scores(rows, scores.ravel().astype(np.float32), "bi_encoder")}
    write_runs(paths.RUNS / f"embedding/{model}.parquet", runs)


def make(folder: Path) -> Project:
    """The project, committed, with nothing run."""
    project = Project(folder)
    (folder / "ablations").mkdir(parents=True)
    (folder / "docs").mkdir()
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / GRID).write_text(CELLS)
    for name in ("params.yaml", ".gitignore", "docs/ablations.md"):
        shutil.copy(ROOT / name, folder / name)
    project.edit_params(shrink)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.dvc("init", "--quiet")
    project.commit()
    return project


def variables(project: Project) -> dict[str, str]:
    return {**PATHS, "ABLATED": str(project.folder.parent)}


def ablate(project: Project, *arguments: str, code: int = 0) -> str:
    """Run `decant ablate`; return what it printed."""
    output = project.decant("ablate", *arguments, code=code, **variables(project), PATH=path_of_the_queue())
    assert "Traceback" not in output
    return output


def trained(project: Project) -> list[str]:
    """What was trained, in its order: the label weight and the seed."""
    path = project.folder.parent / "trained"
    return path.read_text().splitlines() if path.exists() else []


def edit_grid(project: Project, edit: Callable[[dict], None]) -> None:
    content = YAML(typ="safe").load(project.folder / GRID)
    edit(content)
    YAML().dump(content, project.folder / GRID)


def copy(project: Project, folder: Path) -> Project:
    """A copy of a project whose queue is idle: a worker that is about to end removes files of its own."""
    last = time.monotonic() + 60
    for path in (project.folder / ".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.json"):
        worker = read_json(path)["pid"]  # once: it takes the file away when it ends
        while is_worker(worker) and time.monotonic() < last:
            time.sleep(0.2)
    (folder / "trained").write_text("")
    return project.copy(folder / "a project")


if __name__ == "__main__":
    steps = {"sets": sets, "train": train, "evaluate": evaluate, "teacher": lambda: rank("teacher", 0.5, 99)}
    steps["labels_only"] = lambda: evaluate("labels_only", 0.5)
    stage = steps.get(sys.argv[1], lambda: None)
    cli.run("train@embedding" if sys.argv[1] == "train" else sys.argv[1], stage)
