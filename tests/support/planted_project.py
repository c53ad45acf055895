"""A small folder with a user's own set and a tiny teacher whose planted weights make it right about that set."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from decant.data.sets import Row, Split, read_split, write_split
from tests.support import tiny_models as tiny
from tests.support.forked import Run
from tests.support.project import ROOT, Project

WORDS = (
    *("wart", "fever", "heart", "acute", "chronic", "lung", "skin", "bone", "eye", "ear", "hand", "foot", "knee"),
    *("spine", "blood", "nerve", "tooth", "throat", "liver", "kidney", "brain", "joint", "tendon", "scalp"),
)
TASK = "Given a medical term, retrieve its diagnosis"
TRAIN, DEV, TEST = slice(0, 30), slice(30, 40), slice(40, 60)


def make_project(folder: Path, kind: str, engine: str, edit: Callable[[Any], None] | None = None) -> Project:
    """A folder in which `score` can run: one in-domain set, as `fetch` and `mine` would write it, and one teacher."""
    rows = planted_rows(60, 5, marked=kind == "causal_lm")
    folder.mkdir(parents=True)
    project = Project(folder)
    write_set(project, "mine", rows, TASK)
    (folder / "data/mined").mkdir()
    write_split(folder / "data/mined/reranker.parquet", Split(rows[TRAIN], TASK))
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["datasets"]["mine"] = own_set(TASK)
    params["reranker"].update(in_domain="mine", out_of_domain=None, guard=None, replay=0.0)
    model = tiny.qwen3(folder / "teacher", embedding=kind == "bi_encoder", planted=True)
    params["reranker"]["teacher"] = {
        "kind": kind, "engine": engine, "model": f"path:{model.name}", "max_length": 300, "batch_tokens": 400
    }  # fmt: skip
    if edit is not None:
        edit(params)
    yaml.dump(params, folder / "params.yaml")
    return project


def planted_rows(count: int, negatives: int, *, marked: bool) -> list[Row]:
    """A positive shares its query's words and, if marked, holds the mark that the planted reranker says yes to."""
    rng = random.Random(0)
    mark = f"{tiny.MARK} " if marked else ""
    rows = []
    for number in range(count):
        words = rng.sample(WORDS, 3)
        others = [[word for word in rng.sample(WORDS, 6) if word not in words][:3] for _ in range(negatives)]
        positive = f"{' '.join(reversed(words))} {mark * rng.randint(1, 4)}{number}"
        wrong = [f"{' '.join(other)} of {index} {number}" for index, other in enumerate(others)]
        rows.append(Row(f"{' '.join(words)} {number}", [positive], wrong))
    return rows


def own_set(task: str) -> dict[str, Any]:
    """The block in params of a user's own set."""
    return {"source": "path:data/own", "train": "mine.jsonl", "dev": 10, "test": 20, "task": task}


def write_set(project: Project, name: str, rows: list[Row], task: str) -> None:
    """Write the three splits of a set, as `fetch` does."""
    for split, part in (("train", TRAIN), ("dev", DEV), ("test", TEST)):
        write_split(project.folder / f"data/sets/{name}/{split}.parquet", Split(rows[part], task))


def edit_split(
    project: Project, name: str, edit: Callable[[list[Row]], list[Row]] = list, task: str | None = None
) -> None:
    """Change the rows or the task of a split that `score` reads; that of `train` as `mine` made it."""
    path = project.folder / ("data/mined/reranker.parquet" if name == "train" else f"data/sets/mine/{name}.parquet")
    split = read_split(path)
    write_split(path, Split(edit(split.rows), split.task if task is None else task))


def stage(project: Project, name: str, *arguments: str, code: int = 0, **environment: str) -> str:
    """Run a stage as dvc.yaml does; return what it printed."""
    return _output(project, code, environment, "-m", f"stages.{name}", *arguments)


def command(project: Project, name: str, *arguments: str, code: int = 0, **environment: str) -> str:
    """Run `decant NAME`; return what it printed."""
    return _output(project, code, environment, "-m", "tests.support.command", name, *arguments)


def _output(project: Project, code: int, environment: dict[str, str], *arguments: str) -> str:
    variables = project.variables(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", **environment)
    run = Run(*arguments, folder=project.folder, environment=variables)
    output, _ = run.communicate()
    assert run.returncode == code, f"{arguments} ended with {run.returncode}:\n{output}"
    return output


def stage_anew(project: Project, name: str, *arguments: str, code: int = 0) -> str:
    """The same by an interpreter of its own, for engines that start processes in ways of theirs."""
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return project.run("python", "-m", f"stages.{name}", *arguments, code=code, **variables)
