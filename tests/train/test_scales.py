"""`auto`: the teacher's scores are brought to what the student can express, whatever their scale."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from decant.train.cross_encoder import CrossEncoderLoss
from decant.train.scales import FRESH_MARGIN, resolve, teacher_scale, teacher_temperature
from decant.train.settings import Loss
from decant.triplets.draw import SCHEMA
from tests.support.loss_texts import labels_of
from tests.support.training_project import TrainingProject

SCORES = [[3.0, 1.0], [0.5, 0.5], [-1.0, 3.0]]  # deviations 1, 0 and 2; margins 2, 0 and −4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path, SCORES)


def write(folder: Path, scores: Sequence[Sequence[float]]) -> Path:
    rows = [
        {"query": f"q{number}", "positive": f"p{number}", "negatives": [f"n{number}"], "scores": row}
        for number, row in enumerate(scores)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "tuples.parquet")
    return folder / "tuples.parquet"


@pytest.mark.parametrize("batch", [2, 100])
def test_the_temperature_is_half_the_deviation_within_a_tuple(
    batch: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean of all n-tuples, however many are read at once; what all scores of a query share is of no account."""
    monkeypatch.setattr("decant.train.scales.BATCH", batch)
    assert teacher_temperature(path) == pytest.approx((1 + 0 + 2) / 3 / 2)
    moved = [[score + 10 * number for score in row] for number, row in enumerate(SCORES)]
    assert teacher_temperature(write(path.parent, moved)) == pytest.approx((1 + 0 + 2) / 3 / 2)


def test_a_teacher_that_tells_nothing_apart_divides_by_no_zero(path: Path) -> None:
    write(path.parent, [[0.5, 0.5]])
    assert teacher_temperature(path) == pytest.approx(1e-6)
    assert np.isfinite(teacher_scale(path, None))


def test_the_scale_brings_the_teachers_margins_to_the_students(path: Path) -> None:
    """Root mean squares over n-tuples, of the student before training; one with a fresh head has none."""
    own = {
        ("q0", "p0"): 1.0,
        ("q0", "n0"): -2.0,
        ("q1", "p1"): 0.0,
        ("q1", "n1"): 6.0,
        ("q2", "p2"): 5,
        ("q2", "n2"): 5,
    }

    def student(queries: Sequence[str], candidates: Sequence[str]) -> Any:
        return np.array([own[pair] for pair in zip(queries, candidates, strict=True)], dtype=np.float32)

    teachers = np.sqrt((2**2 + 0**2 + 4**2) / 3)
    assert teacher_scale(path, student) == pytest.approx(np.sqrt((3**2 + 6**2 + 0**2) / 3) / teachers)
    assert teacher_scale(path, None) == pytest.approx(FRESH_MARGIN / teachers)


def test_the_scale_is_measured_on_the_first_tuples(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decant.train.scales.SAMPLE", 1)
    assert teacher_scale(path, None) == pytest.approx(FRESH_MARGIN / 2)


@pytest.mark.parametrize("name", ["kl", "margin_mse", "mse"])
def test_what_is_distilled_does_not_depend_on_the_teachers_scale(name: Any, path: Path) -> None:
    """Scores seven times as large have the same loss, to the gradient."""
    found = []
    for factor in (1.0, 7.0):
        scores = [[factor * score for score in row] for row in SCORES]
        write(path.parent, scores)
        settings = resolve(Loss(name=name, student_temperature=0.5), path, None, print)
        loss = CrossEncoderLoss(torch.nn.Identity(), settings)  # type: ignore[arg-type]
        logits = torch.tensor([[0.5, 0.1], [0.0, 1.0], [-1.0, 0.3]], requires_grad=True)
        labels = labels_of([["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]], torch.tensor(scores))
        (term,) = loss.terms(logits, labels).values()
        found.append((term.item(), torch.autograd.grad(term, logits)[0].numpy()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert np.allclose(found[0][1], found[1][1], rtol=1e-4)


@pytest.mark.parametrize(
    ("track", "name"), [("embedding", "kl"), ("embedding", "margin_mse"), ("reranker", "margin_mse")]
)
def test_the_stage_measures_the_scale_that_the_loss_uses_and_prints_it(
    track: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And trains with them as with the same numbers in params."""
    project = TrainingProject(tmp_path, 0.0, epochs=1, evaluations=1)
    loss = project.params[track]["loss"]
    loss.update(name=name, teacher_temperature="auto", teacher_scale="auto")
    project.set()
    project.train_here(track, monkeypatch)
    said = capsys.readouterr().out
    expected = project.outcome(track)
    (line,) = [line for line in said.splitlines() if " auto: " in line]  # what the loss does not use is not measured
    key = "teacher_temperature" if name == "kl" else "teacher_scale"
    assert line.startswith(f"{track}: loss.{key} auto: ")
    measured = float(line.split(": ")[-1])
    path = tmp_path / "data/triplets" / f"{track}.parquet"
    exact = teacher_temperature(path) if name == "kl" else teacher_scale(path, None)
    if name == "kl" or track == "reranker":
        assert measured == pytest.approx(exact, rel=1e-3)
    else:  # the student's own margins are cosines'
        assert 0.01 < measured < exact / 3
        exact = measured
    loss[key] = exact
    project.set()
    project.train_here(track, monkeypatch)
    assert "auto" not in capsys.readouterr().out
    if name == "kl" or track == "reranker":
        assert project.outcome(track) == expected
    else:  # the scale was read off to four digits
        losses = [float(point["loss"]) for point in project.points(track, "loss.csv")]
        first = [float(line.split(b",")[1]) for line in expected["loss.csv"].splitlines()[1:]]
        assert losses == pytest.approx(first, rel=1e-2)


@pytest.mark.parametrize(
    ("name", "weight", "measured"),
    [
        ("kl", 0.5, {"teacher_temperature"}),
        ("margin_mse", 0.0, {"teacher_scale"}),
        ("mse", 0.0, {"teacher_scale"}),
        ("embed_distill", 0.2, set()),  # of embeddings
        ("lambda", 0.0, set()),  # of an order
        ("margin_mse", 1.0, set()),  # labels only
    ],
)
def test_only_what_the_loss_uses_is_measured(name: str, weight: float, measured: set[str], path: Path) -> None:
    settings = Loss(name=name, label_weight=weight)
    lines: list[str] = []
    found = resolve(settings, path, None, lines.append)
    assert {key for key, value in found if value != getattr(settings, key)} == measured
    assert len(lines) == len(measured)
