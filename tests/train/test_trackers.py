"""Trackers show a training while it runs, with the figures that it keeps."""

import csv
import shutil
from pathlib import Path

import pytest

from decant.errors import DecantError
from decant.train.trackers import check_trackers
from tests.support import students


def test_dvclive_and_tensorboard_have_the_curves_by_their_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    model, training = students.bi_encoder(), students.settings(epochs=3.0)
    watched = {"trackers": ["dvclive", "tensorboard"], "name": "train-embedding"}
    curves = students.train_on(
        model, students.loss_of(model), students.tuples(), training, tmp_path / "student", **watched
    )
    live = tmp_path / "tracking/dvclive/train-embedding"
    with (live / "plots/metrics/loss.tsv").open(newline="") as file:
        shown = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file, delimiter="\t")]
    kept = [(int(point["step"]), point["loss"]) for point in curves.loss]
    assert len(kept) > 2
    assert shown == [(step, pytest.approx(loss, abs=1e-4)) for step, loss in kept]
    assert (live / "plots/metrics/eval/map.tsv").is_file()
    events = EventAccumulator(str(tmp_path / "tracking/tensorboard/train-embedding"))
    events.Reload()
    assert [(of.step, pytest.approx(of.value, abs=1e-4)) for of in events.Scalars("train/loss")] == kept
    again = students.bi_encoder()
    students.train_on(again, students.loss_of(again), students.tuples(), training, tmp_path / "b", **watched)
    events = EventAccumulator(str(tmp_path / "tracking/tensorboard/train-embedding"))
    events.Reload()
    assert [of.step for of in events.Scalars("train/loss")] == [step for step, _ in kept]  # of the second alone
    shutil.rmtree(tmp_path / "b")
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"student", "tracking"}  # neither a dvc.yaml nor an experiment
    assert not list((tmp_path / "tracking").rglob("dvc.yaml"))


def test_a_tracker_that_is_not_installed_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_trackers(["dvclive", "tensorboard"])
    (tmp_path / "wandb").mkdir()  # what W&B writes into the working folder is no package
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DecantError, match="trackers names wandb") as raised:
        check_trackers(["wandb"])
    assert raised.value.remedy == "pip install wandb"
