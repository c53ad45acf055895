"""A training that is killed goes on from its last whole checkpoint, to the very outcome of one that was not."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from decant.train.resume import Checkpoints, fingerprint
from tests.support.project import ROOT
from tests.support.training_project import KILLED, TrainingProject


@pytest.mark.parametrize("track", ["embedding", pytest.param("reranker", marks=pytest.mark.slow)])
def test_a_killed_training_ends_as_one_that_was_not(track: str, tmp_path: Path) -> None:
    """Dropout is on. Killed between two lines of the loss curve and between two epochs, while a checkpoint is being
    written, and after the last step; and `save_steps` itself changes nothing."""
    project = TrainingProject(tmp_path, 0.1, epochs=15, evaluations=5, lr=3e-5)
    assert "goes on" not in project.train(track)
    expected = project.outcome(track)
    project.set(save_steps=7)
    for step, when, goes_on_from in ((21, "whole", None), (35, "writing", 21), (45, "whole", 28)):
        said = project.run("-c", KILLED, track, when, str(step), code=-signal.SIGKILL)
        assert (f"goes on from step {goes_on_from} of 45" in said) == (goes_on_from is not None), said
    assert "goes on from step 45 of 45" in project.train(track)
    assert project.outcome(track) == expected
    assert not list((tmp_path / ".resume/train").iterdir())
    assert "goes on" not in project.train(track)


def test_a_projection_goes_on_with_the_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the teacher's embeddings have another dimension, what maps to them is the loss's and not the model's."""
    project = TrainingProject(tmp_path, 0.1, epochs=2, evaluations=2, lr=1e-3)
    project.embeddings(8)
    project.train_here("embedding", monkeypatch)
    expected = project.outcome("embedding")
    assert "embed_distill" in project.points("embedding", "loss.csv")[0]
    project.set(save_steps=2)
    commit = Checkpoints.commit

    def interrupted(self: Checkpoints, step: int, curves: dict[str, Any], best: Path) -> None:
        commit(self, step, curves, best)
        if step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        project.train_here("embedding", monkeypatch)
    monkeypatch.setattr(Checkpoints, "commit", commit)
    saved = torch.load(*tmp_path.glob(".resume/train/embedding/*/checkpoint-4/logged_0.pth"))["of_loss"]
    assert {name: tuple(weight.shape) for name, weight in saved.items()} == {
        "projection.weight": (8, 384),
        "projection.bias": (8,),
    }
    capsys.readouterr()
    project.train_here("embedding", monkeypatch)
    assert "goes on from step 4 of 6" in capsys.readouterr().out
    assert project.outcome("embedding") == expected


@pytest.fixture
def best(tmp_path: Path) -> Path:
    folder = tmp_path / "best"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def checkpoint(checkpoints: Checkpoints, step: int, best: Path) -> Path:
    folder = checkpoints.folder / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "optimizer.pt").write_bytes(b"moments" * 100)
    checkpoints.commit(step, {"loss": []}, best)
    return folder


@pytest.mark.parametrize("name", ["optimizer.pt", "curves.json", "best/model.safetensors", "checksums.json"])
@pytest.mark.parametrize("harm", ["truncated", "changed", "missing"])
def test_a_broken_checkpoint_is_passed_over(name: str, harm: str, best: Path, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "track/abc")
    assert checkpoints.last() is None
    earlier, later = checkpoint(checkpoints, 9, best), checkpoint(checkpoints, 10, best)
    assert checkpoints.last() == later
    content = (later / name).read_bytes()
    if harm == "missing":
        (later / name).unlink()
    else:
        (later / name).write_bytes(content[:-3] if harm == "truncated" else b"\x00" + content[1:])
    assert checkpoints.last() == earlier
    assert not later.exists()
    (earlier / name).unlink()
    assert checkpoints.last() is None


def test_two_checkpoints_are_kept_and_those_of_another_training_stay(best: Path, tmp_path: Path) -> None:
    other = tmp_path / "track/old/checkpoint-3"
    other.mkdir(parents=True)
    checkpoints = Checkpoints(tmp_path / "track/new")
    assert checkpoints.last() is None
    for step in (8, 9, 10, 11):
        checkpoint(checkpoints, step, best)
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["checkpoint-10", "checkpoint-11"]
    assert checkpoints.others() == [tmp_path / "track/old"]
    checkpoints.remove()
    assert [path.name for path in (tmp_path / "track").iterdir()] == ["old"]
    Checkpoints(tmp_path / "track/old").remove()
    assert not list(tmp_path.glob("track"))


def test_checkpoints_of_other_settings_stay_and_are_named_with_the_command_that_removes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And when the training has ended its own go, and no others."""
    project = TrainingProject(tmp_path, 0.0, epochs=1, evaluations=1, save_steps=2)
    other = tmp_path / ".resume/train/embedding/0123456789abcdef/checkpoint-2"
    other.mkdir(parents=True)
    project.train_here("embedding", monkeypatch)
    assert "`rm -r .resume/train/embedding/0123456789abcdef` removes them" in capsys.readouterr().out
    assert list(tmp_path.glob(".resume/train/*/*/*")) == [other]


def test_a_fingerprint_is_of_all_that_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "triplets.parquet"
    path.write_bytes(b"one")
    model = torch.nn.Linear(2, 2)
    prints = [fingerprint({"lr": 1.0}, [path], model), fingerprint({"lr": 2.0}, [path], model)]
    assert fingerprint({"lr": 1.0}, [path], model) == prints[0]
    path.write_bytes(b"two")
    prints.append(fingerprint({"lr": 1.0}, [path], model))
    with torch.no_grad():
        model.weight[0, 0] += 1
    prints.append(fingerprint({"lr": 1.0}, [path], model))
    monkeypatch.setattr("decant.train.resume.version", lambda _: "0.0")
    prints.append(fingerprint({"lr": 1.0}, [path], model))
    assert len(set(prints)) == 5


@pytest.mark.parametrize(
    ("module", "counts"),
    [("train/losses/kl.py", True), ("models/load.py", True), ("report/charts.py", False), ("errors.py", False)],
)
def test_of_decants_code_a_fingerprint_is_of_the_rooms_that_train(
    module: str, counts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comment in a chart costs no training."""
    shutil.copytree(ROOT / "decant", tmp_path / "decant", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("decant.train.resume.ROOT", tmp_path / "decant")
    model = torch.nn.Linear(2, 2)
    before = fingerprint({}, [], model)
    with (tmp_path / "decant" / module).open("a") as file:
        file.write("# a comment\n")
    assert (fingerprint({}, [], model) != before) == counts


@pytest.mark.slow
def test_two_processes_go_on_as_well(tmp_path: Path) -> None:
    project = TrainingProject(tmp_path, 0.1, processes=2, save_steps=2, lr=3e-5, epochs=20)
    process = project.start("embedding")
    first = ".resume/train/embedding/*/checkpoint-4/checksums.json"
    while not list(tmp_path.glob(first)):
        assert process.poll() is None, process.communicate()[0]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    said = project.train("embedding")
    assert "goes on from step" in said
    resumed = project.outcome("embedding")
    project.train("embedding")
    assert resumed == project.outcome("embedding")
