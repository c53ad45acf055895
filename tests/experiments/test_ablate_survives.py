"""What a kill or a lost message costs a grid of ablations: the unfinished experiment at most."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from decant.errors import DecantError
from decant.experiments.ablations import FOLDER, Ablations
from decant.experiments.queue import ExperimentQueue
from decant.experiments.results import read_results
from decant.files import read_json
from tests.support.ablation_project import COMMAND, GRID, ablate, copy, edit_grid, make, trained, variables
from tests.support.project import Project, path_of_the_queue

RESULTS = FOLDER / f"{GRID.stem}.csv"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project with two cells and two seeds, of which nothing was run. Tests must not change it."""
    return make(tmp_path_factory.mktemp("fresh") / "a project")


@pytest.mark.parametrize("times", [1, 2])
def test_an_experiment_that_an_ending_worker_lost_is_queued_once_more(
    fresh: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    project = copy(fresh, tmp_path)
    edit_grid(project, lambda grid: grid.update(seeds=[0], cells={"full": grid["cells"]["full"]}))
    lost: list[str] = []

    class Losing(ExperimentQueue):
        def put(self, name: str, overrides: Mapping[str, Any], targets: Sequence[str]) -> None:
            super().put(name, overrides, targets)
            if len(lost) < times:  # a worker that is ending takes it and does not run it
                broker = project.folder / ".dvc/tmp/exps/celery/broker"
                for path in (broker / "in").glob("*.celery.msg"):
                    lost.append(path.name)
                    path.rename(broker / "processed" / path.name)

    monkeypatch.chdir(project.folder)
    for name, value in {**project.variables(), **variables(project), "PATH": path_of_the_queue()}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("decant.experiments.ablations.ExperimentQueue", Losing)
    if times == 1:
        Ablations(GRID.stem, 1, print).run(())
    else:
        with pytest.raises(DecantError, match="1 of 1 experiments failed: full-0"):
            Ablations(GRID.stem, 1, print).run(())
    assert len(lost) == times
    (result,) = read_results(project.folder / RESULTS)
    assert result.fault == ("" if times == 1 else "it ended without a word")
    assert len(trained(project)) == (1 if times == 1 else 0)


def worker_group(project: Project) -> int:
    """The process group of the queue's worker and of all that it has started."""
    return os.getpgid(read_json(project.folder / ".dvc/tmp/exps/celery/dvc-exp-worker-1.json")["pid"])


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("it never came")


def cut_off(project: Project, kill: Callable[["subprocess.Popen[str]"], None]) -> str:
    """Start the command, and kill something while the second experiment is being trained; return what it said."""
    hold = project.folder.parent / "hold"
    process = subprocess.Popen(
        COMMAND,
        cwd=project.folder,
        env={**os.environ, **variables(project), "CI": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: bool(trained(project)))
    hold.write_text("")
    wait_for(lambda: len(trained(project)) == 2)
    wait_for(lambda: len(read_results(project.folder / RESULTS)) == 1)
    try:
        kill(process)
        return process.communicate(timeout=300)[0]
    finally:
        hold.unlink()


@pytest.mark.slow
def test_when_all_is_killed_the_same_command_repeats_the_unfinished_experiment_alone(
    fresh: Project, tmp_path: Path
) -> None:
    project = copy(fresh, tmp_path)

    def kill(process: "subprocess.Popen[str]") -> None:
        process.kill()
        os.killpg(worker_group(project), signal.SIGKILL)

    cut_off(project, kill)
    first = read_results(project.folder / RESULTS)
    assert "4 experiments to run" not in (output := ablate(project))
    assert "3 experiments to run, 2 of them in the queue already" in output
    one, two, *rest = trained(project)
    assert sorted([one, two, *rest]) == sorted([one, two, two, "1 0", "1 1"])
    results = read_results(project.folder / RESULTS)
    assert results[:1] == first
    assert len(results) == 4
    assert not any(result.fault for result in results)


@pytest.mark.slow
def test_when_the_command_alone_is_killed_its_worker_goes_on_and_nothing_is_repeated(
    fresh: Project, tmp_path: Path
) -> None:
    project = copy(fresh, tmp_path)
    cut_off(project, lambda process: process.kill())
    wait_for(lambda: len(trained(project)) == 3)
    assert "3 experiments to run, 3 of them in the queue already" in ablate(project)
    assert len(trained(project)) == len(set(trained(project))) == 4
    assert len(read_results(project.folder / RESULTS)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_experiment_too_and_the_same_command_goes_on(
    fresh: Project, tmp_path: Path, signum: signal.Signals
) -> None:
    project = copy(fresh, tmp_path)
    groups: list[int] = []

    def interrupt(process: "subprocess.Popen[str]") -> None:
        groups.append(worker_group(project))
        process.send_signal(signum)
        process.wait(300)

    output = cut_off(project, interrupt)
    assert "stopping the experiment under way" in output
    assert "Traceback" not in output

    def ended() -> bool:
        try:
            os.killpg(groups[0], 0)
        except ProcessLookupError:
            return True
        return False

    wait_for(ended)
    one, two = trained(project)
    ablate(project)
    assert sorted(trained(project)) == sorted([one, two, two, "1 0", "1 1"])
    assert not any(result.fault for result in read_results(project.folder / RESULTS))
