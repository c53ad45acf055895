"""A checkout of the project in which tests type what a user types."""

import atexit
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from decant.preloaded import LIBRARIES, STAGES, preloaded_python

ROOT = Path(__file__).resolve().parents[2]


@cache
def path() -> str:
    """The PATH of what tests run: DVC and the stages start in forks, of a server that ends with this process."""
    libraries = (*LIBRARIES, "dvc.cli.parser", "dvc.repo.experiments.queue.celery", "networkx")
    context = preloaded_python(modules=(*STAGES, "dvc", "tests.support."), libraries=libraries)
    atexit.register(lambda: context.__exit__(None, None, None))
    return context.__enter__()


@cache
def path_of_the_queue() -> str:
    """The same with a `dvc` that starts in forks too, for DVC's queue; who kills it leaves what it has started."""
    folder = Path(tempfile.mkdtemp(prefix="decant-dvc-"))
    atexit.register(shutil.rmtree, folder)
    (folder / "dvc").write_text('#!/bin/sh\nexec python -m dvc "$@"\n')
    (folder / "dvc").chmod(0o755)
    first, others = path().split(os.pathsep, 1)
    return os.pathsep.join((first, str(folder), others))


class Project:
    """A checkout in which commands are run as a user would type them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of what runs in the project."""
        return {
            **os.environ,
            "PATH": path(),
            "CI": "true",
            "XDG_CACHE_HOME": str(self.folder.parent / "cache"),  # a score store of its own
            "DVC_NO_ANALYTICS": "true",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@localhost",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@localhost",
            **more,
        }

    def run(self, *command: str, code: int | None = 0, **environment: str) -> str:
        """Run a command; return stdout and stderr; `code` None accepts any exit code."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables(**environment),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert code is None or done.returncode == code, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def dvc(self, *arguments: str, code: int | None = 0, **environment: str) -> str:
        return self.run("python", "-m", "dvc", *arguments, code=code, **environment)

    def decant(self, *arguments: str, code: int | None = 0, **environment: str) -> str:
        """Run a command of Decant's, of the folder's own code or else of this one's."""
        variables = {"PYTHONPATH": str(ROOT), **environment}
        return self.run("python", "-m", "tests.support.command", *arguments, code=code, **variables)

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")

    def edit_params(self, edit: Callable[[Any], None]) -> None:
        """Change params.yaml as an editor would: other lines stay as they are."""
        yaml = YAML()
        path = self.folder / "params.yaml"
        content = yaml.load(path)
        edit(content)
        yaml.dump(content, path)

    def copy(self, folder: Path) -> "Project":
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


def recorded(project: Project) -> dict[str, str]:
    """The MD5 of every output, as dvc.lock has them."""
    lock = YAML(typ="safe").load(project.folder / "dvc.lock")
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage.get("outs", [])}


def ran(output: str) -> set[str]:
    """The stages that a `dvc repro` or `dvc exp run` ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def shrink(params: Any) -> None:
    """Sizes with which the whole pipeline takes seconds of computing; models and data stay real."""
    for block in params["datasets"].values():
        block.update(train=48, dev=12, test=30, negatives=6)
    for track in ("embedding", "reranker"):
        params[track]["triplets"]["negatives"] = 3
        params[track]["student"]["max_length"] = 32
    params["embedding"]["student"]["layers"] = [0]
    params["train"].update(evaluations=1, batch_size=16, least_steps=None)
    params["report"]["resamples"] = 199
    params["retrieve"] = {}  # what searches has tests of its own


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Project], None]) -> Project:
    """A project that the first of pytest's processes to ask for it builds, and the others wait for."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # which all workers share
    folder, done = root / name, root / f"{name}.done"
    project = Project(folder / "a project")
    with FileLock(root / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a build that failed
            folder.mkdir()
            build(project)
            done.touch()
    return project


def check_out(project: Project) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("metrics/", "plots/")) and name != "dvc.lock":
            target = project.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    project.git("init", "--quiet", "--initial-branch", "main")
    project.edit_params(shrink)
    project.commit()


def copy_of_the_checkout(folder: Path) -> Project:
    """A git clone of the project, with the working tree's version of every tracked file."""
    Project(ROOT).git("clone", "--quiet", "--no-local", str(ROOT), str(folder))
    project = Project(folder)
    for name in filter(None, Project(ROOT).git("ls-files", "-z").split("\0")):
        target = folder / name
        if (ROOT / name).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        else:  # removed, and not yet committed
            target.unlink(missing_ok=True)
    return project
