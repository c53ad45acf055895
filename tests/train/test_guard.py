"""The guard against forgetting: the point between before and after, and what training may look at to choose it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from ruamel.yaml import YAML
from safetensors.torch import load_file
from torch import nn

from decant.data.sets import read_split
from decant.evaluate.run import evaluate
from decant.files import read_json
from decant.kinds import TRACKS
from decant.train.guard import ALPHAS, Point, choose, set_between, sweep, weights
from decant.train.trainer import train_student
from tests.support.project import ROOT
from tests.support.training_project import TrainingProject


def layers(seed: int) -> nn.Module:
    """Weights of very different sizes, and an integer buffer: how many batches were seen."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5))
    with torch.no_grad():
        model[0].weight.mul_(10.0 ** torch.randint(-30, 30, model[0].weight.shape))
        model[1].num_batches_tracked += seed
    return model


def test_the_ends_are_before_and_after_to_the_bit_and_the_middle_is_their_mean() -> None:
    before, after = weights(layers(1)), weights(layers(2))
    model = layers(3)
    for alpha, expected in ((0.0, before), (1.0, after), (0.5, None), (0.25, None), (0.0, before)):
        set_between(model, before, after, alpha)
        for name, found in model.state_dict().items():
            if not found.is_floating_point():
                assert torch.equal(found, after[name])
            elif expected is not None:
                assert torch.equal(found, expected[name])
            else:
                mean = (1 - alpha) * before[name].double() + alpha * after[name].double()
                assert torch.allclose(found.double(), mean, rtol=1e-6, atol=0)


def test_every_point_is_measured_and_what_it_is_measured_between_stays() -> None:
    before, after = weights(layers(1)), weights(layers(2))
    kept = {name: tensor.clone() for name, tensor in before.items()}
    model = layers(1)

    def measure() -> tuple[float, float]:
        return model[0].bias[1].item(), model[0].bias[0].item()

    points = sweep(model, before, after, measure)
    assert [point.alpha for point in points] == list(ALPHAS)
    ends = before["0.bias"][0], after["0.bias"][0]
    assert [point.guard for point in points] == pytest.approx(
        [float(ends[0] + alpha * (ends[1] - ends[0])) for alpha in ALPHAS], rel=1e-4
    )
    assert all(torch.equal(kept[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(
    ("points", "max_loss", "alpha"),
    [
        # the best in-domain of all, while none loses too much
        ([(0, 0.4, 0.8), (0.5, 0.6, 0.79), (1, 0.7, 0.78)], 0.02, 1),
        # what is lost is measured against before, and just the limit is allowed
        ([(0, 0.4, 0.75), (0.5, 0.6, 0.5), (1, 0.7, 0.49)], 0.25, 0.5),
        # no matter how the others do in-domain
        ([(0, 0.4, 0.8), (0.5, 0.9, 0.7), (1, 0.5, 0.8)], 0.02, 1),
        # the smallest of equals: it forgets least
        ([(0, 0.4, 0.8), (0.25, 0.6, 0.8), (0.5, 0.6, 0.8), (1, 0.6, 0.9)], 0.02, 0.25),
        # equals all: before
        ([(0, 0.5, 0.8), (0.5, 0.5, 0.8), (1, 0.5, 0.8)], 0.0, 0),
        # nothing else is allowed: before, though it is the worst in-domain
        ([(0, 0.1, 0.8), (0.5, 0.6, 0.7), (1, 0.7, 0.2)], 0.02, 0),
        # a guard that gains is no reason to go further
        ([(0, 0.7, 0.5), (0.5, 0.6, 0.7), (1, 0.5, 0.9)], 0.02, 0),
    ],
)
def test_the_point_is_the_best_in_domain_of_those_that_keep_up(
    points: list[tuple[float, float, float]], max_loss: float, alpha: float
) -> None:
    assert choose([Point(*point) for point in points], max_loss).alpha == alpha


@pytest.mark.parametrize(("below", "alpha"), [(None, 1), (0.03, 1), (0.02, 0.5), (0.0, 0.25)])
def test_the_point_may_have_to_keep_what_was_gained_on_the_guard(below: float | None, alpha: float) -> None:
    points = [Point(0, 0.4, 0.7), Point(0.25, 0.5, 0.8), Point(0.5, 0.6, 0.79), Point(1, 0.7, 0.775)]
    assert choose(points, 0.02, below).alpha == alpha
    assert choose([*points[:1], Point(1, 0.7, 0.5)], 0.02, below).alpha == 0  # what is lost counts all the same


def test_without_a_guard_there_is_one_point() -> None:
    assert choose([Point(1.0, 0.5, None)], 0.0).alpha == 1


@pytest.mark.parametrize("track", ["embedding", "reranker"])
def test_the_kept_student_is_the_chosen_point_of_the_curve(
    track: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Off, the student is that after training, and the curve is that one point."""
    project = TrainingProject(tmp_path, 0.0, lr=3e-3, epochs=2, evaluations=1)
    if track == "reranker":
        project.set(lr=1e-3, epochs=4)
    folder = tmp_path / "models" / track
    project.train_here(track, monkeypatch)
    after = load_file(folder / "model.safetensors")
    (point,) = project.points(track, "guard.csv")
    assert (point["alpha"], point["guard"]) == ("1.0", "")
    assert point["in_domain"] == max(project.points(track, "dev.csv"), key=lambda point: float(point["map"]))["map"]

    project.set(epochs=0)
    project.train_here(track, monkeypatch)
    before = load_file(folder / "model.safetensors")

    project.set(epochs=2 if track == "embedding" else 4)
    project.guard(track, max_loss=0.5)
    capsys.readouterr()
    project.train_here(track, monkeypatch)
    points = [
        Point(*(float(point[name]) for name in ("alpha", "in_domain", "guard")))
        for point in project.points(track, "guard.csv")
    ]
    assert [point.alpha for point in points] == list(ALPHAS)
    chosen = choose(points, 0.5)
    assert 0 < chosen.alpha < 1
    between = f"between those before (α = 0) and after training (α = 1), at α = {chosen.alpha:g}"
    said = f"{track}: the kept weights are {between}: "
    said += f"dev MAP {chosen.in_domain:.4f}, cwe {points[0].guard:.4f} → {chosen.guard:.4f}"
    assert said in capsys.readouterr().out
    kept = load_file(folder / "model.safetensors")
    for name, weight in kept.items():
        assert torch.equal(weight, torch.lerp(before[name], after[name], chosen.alpha)), name
    models = TRACKS[track].models
    scorer = models.make_scorer(models.load(folder), 32)
    cost = read_json(tmp_path / "data/cost" / track / "train.json")
    assert (cost["alpha"], cost["bytes"]) == (chosen.alpha, (folder / "model.safetensors").stat().st_size)
    for name, of_point in ((project.params[track]["in_domain"], chosen.in_domain), ("cwe", chosen.guard)):
        assert evaluate(scorer, read_split(tmp_path / "data/sets" / name / "dev.parquet")).means()["map"] == of_point


def test_training_sees_neither_a_test_split_nor_the_out_of_domain_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not there, and the student is chosen."""
    project = TrainingProject(tmp_path, 0.0, epochs=1, evaluations=1)
    project.guard("embedding", max_loss=0.02)
    block = project.params["embedding"]
    shutil.rmtree(tmp_path / "data/sets" / block["out_of_domain"])
    found = [str(path.relative_to(tmp_path / "data/sets")) for path in (tmp_path / "data/sets").rglob("*.parquet")]
    assert sorted(found) == [f"{block['guard']}/dev.parquet", f"{block['in_domain']}/dev.parquet"]
    project.train_here("embedding", monkeypatch)
    assert len(project.points("embedding", "guard.csv")) == len(ALPHAS)
    stage = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]["train"]["do"]
    sets = [path for path in stage["deps"] if path.startswith("data/sets/")]
    assert sets == ["data/sets/${item.in_domain}/dev.parquet", "data/sets/${item.guard}/dev.parquet"]


def test_the_labels_only_student_takes_as_many_steps_on_labelled_tuples_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four of eleven n-tuples are replayed: three steps of four n-tuples an epoch, and it has seven of them."""
    project = TrainingProject(tmp_path, 0.0, epochs=2, evaluations=1)
    project.write_tuples("embedding", replayed=4)
    project.params["baselines"]["labels_only"] = True
    project.set()
    trained: list[tuple[list[str], list[float]]] = []

    def train(model: Any, loss: nn.Module, tuples: Dataset, *others: Any, **named: Any) -> Any:
        curves = train_student(model, loss, tuples, *others, **named)
        assert all(("contrastive" in point, "kl" in point) == (True, not trained) for point in curves.loss)
        trained.append((tuples["query"][:], [point["step"] for point in curves.loss]))
        return curves

    monkeypatch.setattr("decant.train.run.train_student", train)
    project.train_here("embedding", monkeypatch)
    (everything, steps), (labelled, same_steps) = trained
    assert steps == same_steps == [1, 2, 3, 4, 5, 6]
    assert labelled == everything[:7]
    assert len(everything) == 11
