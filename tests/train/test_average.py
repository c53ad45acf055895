"""The mean of the weights at the last evaluations: what it is, when it is kept, and that a kill changes nothing."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from decant.evaluate.run import evaluate
from decant.kinds import KINDS
from decant.models import bi_encoder as bi_encoders
from decant.models import cross_encoder as cross_encoders
from decant.params import load_params
from decant.train.average import FILE, Average
from decant.train.card import model_card
from decant.train.trainer import _KeepBest
from tests.support.project import ROOT
from tests.support.students import DEV, bi_encoder, cross_encoder, scorer_of, train, tuples
from tests.support.training_project import KILLED, TrainingProject

LOADS = {bi_encoder: bi_encoders.load, cross_encoder: cross_encoders.load}


@pytest.mark.parametrize("make", LOADS)
def test_the_mean_is_of_the_weights_at_the_last_evaluations(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six steps; evaluations after each second, of which the last two count."""
    seen: dict[int, dict[str, Tensor]] = {}
    call = _KeepBest.__call__

    def recorded(self: Any, model: Any, *_: Any, steps: int, **__: Any) -> Any:
        if not self.at_mean:
            seen[steps] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return call(self, model, steps=steps)

    monkeypatch.setattr(_KeepBest, "__call__", recorded)
    model = make()
    curves = train(model, tmp_path / "model", tuples(), epochs=3.0, evaluations=3, average=2)
    assert list(seen) == [0, 2, 4, 6] == [point["step"] for point in curves.dev]
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, (seen[4][name] + seen[6][name]) / 2, atol=1e-7), name
    assert curves.average == {"step": 6, "map": evaluate(scorer_of(model), DEV).means()["map"]}
    assert "the mean of the weights at steps 4, 6 is" in capsys.readouterr().out


@pytest.mark.parametrize("better", [False, True])
@pytest.mark.parametrize("make", LOADS)
def test_the_mean_is_kept_where_it_is_the_best(
    make: Any, better: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equals are not better."""
    maps = iter([0.5, 0.25, 0.5, 0.75 if better else 0.5])

    class Means:
        def means(self) -> dict[str, float]:
            return {"map": next(maps)}

    monkeypatch.setattr("decant.train.trainer.evaluate", lambda *_: Means())
    model = make()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    curves = train(model, tmp_path / "model", tuples(), average=2)
    kept = LOADS[make](tmp_path / "model").state_dict()  # type: ignore[operator]
    expected = model.state_dict() if better else before
    assert all(torch.equal(kept[name], tensor.cpu()) for name, tensor in expected.items())
    assert curves.best == ({"step": 4, "map": 0.75} if better else {"step": 0, "map": 0.5})


def test_without_it_nothing_is_averaged(tmp_path: Path) -> None:
    assert train(bi_encoder(), tmp_path / "model", tuples()).average is None
    assert train(bi_encoder(), tmp_path / "none", tuples(), epochs=0.0, average=2).average is None


@pytest.mark.parametrize(
    ("average", "words"),
    [
        (None, "The checkpoint is that of step 4."),
        ({"step": 6, "map": 0.5}, "The checkpoint is that of step 4."),
        ({"step": 6, "map": 0.75}, "The checkpoint is the mean of the last 2, with a MAP of 0.7500."),
    ],
)
def test_the_card_says_whether_the_mean_is_kept(average: dict[str, float] | None, words: str) -> None:
    params = load_params(ROOT / "params.yaml").track("embedding")
    params = params.model_copy(update={"train": params.train.model_copy(update={"average": 2})})
    job: Any = SimpleNamespace(track="embedding", params=params, training=KINDS["bi_encoder"].training, seed=0)
    dev = [{"step": 2, "map": 0.25}, {"step": 4, "map": 0.5}, {"step": 6, "map": 0.5}]
    assert words in model_card(job, dev, average, 1.0, None, {}, ("", ""))


def test_what_is_no_floating_point_number_is_the_lasts(tmp_path: Path) -> None:
    class Counts(nn.Module):
        def __init__(self, weight: float, count: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.full((2,), weight, dtype=torch.bfloat16))
            self.register_buffer("count", torch.tensor(count))

    average = Average([3, 5])
    for step, weight, count in ((1, 9.0, 9), (3, 1.0, 3), (4, 9.0, 9)):
        average.add(step, Counts(weight, count))
    average.save(tmp_path)
    again, model = Average([3, 5]), Counts(0.0, 0)
    again.load(tmp_path)
    again.add(5, Counts(2.0, 5))
    again.set(model)
    assert (model.weight.tolist(), int(model.count)) == ([1.5, 1.5], 5)


@pytest.mark.parametrize(("killed_at", "sums"), [pytest.param(7, False, marks=pytest.mark.slow), (14, True)])
def test_a_killed_training_has_the_same_mean(killed_at: int, sums: bool, tmp_path: Path) -> None:
    """Evaluations after steps 3, 6, 9, 12 and 15: the mean is of the last three, of which one was before the kill."""
    project = TrainingProject(tmp_path, 0.1, epochs=5, evaluations=5, average=3, lr=3e-5)
    said = project.train("embedding")
    expected = project.outcome("embedding")
    (told,) = [line for line in said.splitlines() if "the mean of the weights at steps 9, 12, 15" in line]
    project.set(save_steps=killed_at)
    project.run("-c", KILLED, "embedding", "whole", str(killed_at), code=-signal.SIGKILL)
    (folder,) = tmp_path.glob(f".resume/train/embedding/*/checkpoint-{killed_at}")
    assert (folder / FILE).is_file() == sums
    said = project.train("embedding")
    assert f"goes on from step {killed_at} of 15" in said
    assert told in said
    assert project.outcome("embedding") == expected
