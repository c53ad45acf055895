"""A small folder with a user's own set and a tiny teacher whose planted weights make it right about that set."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.support import tiny_models as tiny
from tests.support.forked import Run
from tests.support.project import ROOT, Project

WORDS = (
    *("wart", "fever", "heart", "acute", "chronic", "lung", "skin", "bone", "eye", "ear", "hand", "foot", "knee"),
    *("spine", "blood", "nerve", "tooth", "throat", "liver", "kidney", "brain", "joint", "tendon", "scalp"),
)
TASK = "Given a medical term, retrieve its diagnosis"


def make_project(folder: Path, kind: str, engine: str, edit: Callable[[Any], None] | None = None) -> Project:
    """A folder in which `fetch` and `mine` have run and `score` can: one in-domain set, its test split, one teacher.

    A positive shares its query's words and holds the mark that the planted reranker says yes to.
    """
    rng = random.Random(0)
    mark = f"{tiny.MARK} " if kind == "causal_lm" else ""
    rows = []
    for number in range(60):
        words = rng.sample(WORDS, 3)
        others = [[word for word in rng.sample(WORDS, 6) if word not in words][:3] for _ in range(5)]
        rows.append(
            {
                "query": f"{' '.join(words)} {number}",
                "positive": [f"{' '.join(reversed(words))} {mark * rng.randint(1, 4)}{number}"],
                "negative": [f"{' '.join(other)} of {index} {number}" for index, other in enumerate(others)],
            }
        )
    (folder / "data" / "own").mkdir(parents=True)
    (folder / "data" / "own" / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    block = dict(params["datasets"]["icd10"])
    block.update(
        source="path:data/own",
        format="rows",
        packages={},
        splits={"train": "mine.jsonl", "dev": None, "test": None},
        train=None,
        dev=10,
        test=20,
        negatives=None,
        task=TASK,
    )
    params["datasets"]["mine"] = block
    params["reranker"].update(in_domain="mine", out_of_domain=None)
    params["reranker"]["guard"].update(dataset=None, replay=0.0, interpolate=False)
    model = tiny.qwen3(folder / "teacher", embedding=kind == "bi_encoder", planted=True)
    params["reranker"]["teacher"].update(
        kind=kind, engine=engine, model=f"path:{model.name}", sha256=None, max_length=300, batch_size=8
    )
    if edit is not None:
        edit(params)
    yaml.dump(params, folder / "params.yaml")
    project = Project(folder)
    stage(project, "fetch", "mine")
    stage(project, "mine", "reranker")
    return project


def stage(project: Project, name: str, *arguments: str, code: int = 0, **environment: str) -> str:
    """Run a stage as dvc.yaml does; return what it printed."""
    variables = project.variables(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", **environment)
    run = Run("-m", f"stages.{name}", *arguments, folder=project.folder, environment=variables)
    output, _ = run.communicate()
    assert run.returncode == code, f"{name} {arguments} ended with {run.returncode}:\n{output}"
    return output


def stage_anew(project: Project, name: str, *arguments: str, code: int = 0) -> str:
    """The same by an interpreter of its own, for engines that start processes in ways of theirs."""
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return project.run("python", "-m", f"stages.{name}", *arguments, code=code, **variables)
