"""Adapters train a small part of the weights, and what is saved is a plain model of the same outputs."""

import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from decant.errors import DecantError
from decant.files import read_json
from decant.kinds import KINDS
from decant.models.kind import Model
from decant.models.load import transformer_of
from decant.models.packing import packs
from decant.train.lora import adapted, add_adapters, merge, merged
from decant.train.settings import Lora
from decant.train.trainer import _KeepBest
from tests.support import tiny_architectures as tiny
from tests.support.students import bi_encoder, cross_encoder, scorer_of, train, tuples
from tests.support.training_project import KILLED, TrainingProject

STUDENTS = pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("bi_encoder", "Qwen3"),
        ("bi_encoder", "XLM-R"),  # skips padding
        ("bi_encoder", "ModernBERT"),
        ("cross_encoder", "XLM-R"),  # skips padding, and has a head
        ("cross_encoder", "ModernBERT"),
    ],
)
QUERIES = ["the colour of a plum", "the smell of a cherry and a quince", "apple"]
DOCUMENTS = ["a plum is red", "a cherry is big , as all know , and heavy", "a fig"]
RECIPE = {"lr": 3e-3, "epochs": 6.0, "evaluations": 3, "lora": Lora(rank=4, alpha=8.0)}


def loaded(folder: Path, kind: str) -> Model:
    model: Model = KINDS[kind].models.load(folder)
    return model.eval()


@pytest.fixture
def untouched(kind: str, name: str, tmp_path: Path) -> Path:
    return {"bi_encoder": tiny.bi_encoder, "cross_encoder": tiny.cross_encoder}[kind](name, tmp_path / name)


def scores(model: Model) -> Tensor:
    return torch.from_numpy(scorer_of(model.eval()).score(QUERIES, DOCUMENTS))


def weights(model: Model) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def disturb(model: Model) -> None:
    """Let adapters change outputs as after a training."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1)


@STUDENTS
def test_training_starts_from_the_model_and_the_adapters_and_the_head_alone_have_gradients(
    kind: str, name: str, untouched: Path
) -> None:
    model = loaded(untouched, kind)
    expected, skips, before = scores(model), packs(transformer_of(model)), weights(model)
    body = transformer_of(model).base_model
    shapes = [module.weight.shape for module in body.modules() if isinstance(module, torch.nn.Linear)]
    of_head = sum(weight.numel() for weight in model.parameters()) - sum(weight.numel() for weight in body.parameters())
    said = add_adapters(model, Lora(rank=4))
    assert torch.equal(scores(model), expected)
    assert packs(transformer_of(model)) == skips
    trained = [weight.numel() for weight in model.parameters() if weight.requires_grad]
    assert sum(trained) == sum(4 * sum(shape) for shape in shapes) + of_head
    assert f"{len(shapes)} layers have adapters of rank 4; {sum(trained)} of " in said
    assert (of_head > 0) == (kind == "cross_encoder")
    frozen = {key.replace(".base_layer", ""): value for key, value in weights(model).items() if "lora" not in key}
    assert all(torch.equal(frozen[key], value) for key, value in before.items())


@STUDENTS
def test_merged_weights_have_the_outputs_of_the_adapters_and_lie_where_the_untouched_ones_do(
    kind: str, name: str, untouched: Path, tmp_path: Path
) -> None:
    model = loaded(untouched, kind)
    before, start = scores(model), weights(model)
    add_adapters(model, Lora(rank=4))
    disturb(model)
    expected, trained = scores(model), weights(model)
    assert (expected - before).abs().min() > 1e-3
    with merged(model):
        assert not adapted(model)
        assert {key: value.shape for key, value in model.state_dict().items()} == {
            key: value.shape for key, value in start.items()
        }
        model.save_pretrained(str(tmp_path / "merged"), create_model_card=False)
    assert all(torch.equal(value, trained[key]) for key, value in weights(model).items())
    assert torch.equal(scores(model), expected)
    assert torch.allclose(scores(loaded(tmp_path / "merged", kind)), expected, rtol=0, atol=1e-5)
    merge(model)
    assert weights(model).keys() == start.keys()
    assert torch.allclose(scores(model), expected, rtol=0, atol=1e-5)


def test_a_failure_while_weights_are_merged_leaves_the_adapters(tmp_path: Path) -> None:
    model = loaded(tiny.bi_encoder("Qwen3", tmp_path), "bi_encoder")
    add_adapters(model, Lora(rank=4))
    before = weights(model)
    with pytest.raises(OSError, match="the disk is full"), merged(model):
        raise OSError("the disk is full")
    assert weights(model).keys() == before.keys()


@STUDENTS
def test_training_lowers_the_loss_and_keeps_a_plain_model_of_the_best_dev_map(
    kind: str, name: str, untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best is neither the first nor the last: training goes on after it was saved."""
    seen: dict[int, Tensor] = {}
    call = _KeepBest.__call__
    maps = iter([0.2, 0.3, 0.5, 0.4])

    class Means:
        def means(self) -> dict[str, float]:
            return {"map": next(maps)}

    def recorded(self: Any, model: Model, *_: Any, steps: int, **__: Any) -> Any:
        seen[steps] = scores(model)
        return call(self, model, steps=steps)

    monkeypatch.setattr(_KeepBest, "__call__", recorded)
    monkeypatch.setattr("decant.train.trainer.evaluate", lambda *_: Means())
    curves = train(loaded(untouched, kind), tmp_path / "model", tuples(), **RECIPE)
    losses = [point["loss"] for point in curves.loss]
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    assert curves.best["step"] == 8 < curves.dev[-1]["step"]
    assert not torch.allclose(seen[12], seen[8], rtol=0, atol=1e-4)
    kept, before = loaded(tmp_path / "model", kind), loaded(untouched, kind)
    assert torch.allclose(scores(kept), seen[int(curves.best["step"])], rtol=0, atol=1e-5)
    assert not torch.allclose(scores(kept), scores(before), rtol=0, atol=1e-2)
    assert weights(kept).keys() == weights(before).keys()
    assert not [path for path in (tmp_path / "model").rglob("*") if "adapter" in path.name]
    linear = {f"{path}.weight" for path, module in before.named_modules() if isinstance(module, torch.nn.Linear)}
    body = transformer_of(before).base_model
    in_body = {id(weight) for weight in body.parameters()}
    for path, weight in before.named_parameters():
        changed = not torch.equal(kept.state_dict()[path], weight)
        assert changed == (path in linear or id(weight) not in in_body) or "pooler" in path, path
    told = {path.name: read_json(path) for path in (untouched / "config.json", tmp_path / "model/config.json")}
    assert "peft" not in str(told)


@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
@pytest.mark.parametrize("way", [{"checkpointing": True}, {"chunk": 2}])
def test_less_memory_gives_the_same_weights(make: Any, way: dict[str, Any], tmp_path: Path) -> None:
    found = []
    for changes in ({}, way):
        model = make()
        train(model, tmp_path / str(len(found)), tuples(), dropout=0.0, lora=Lora(rank=4), **changes)
        found.append(weights(model))
    start = weights(make())
    moved = [key for key, value in found[0].items() if not torch.allclose(value, start[key], atol=1e-5)]
    assert len(moved) > 4
    for key, value in found[1].items():
        if not key.endswith(("key.bias", "classifier.bias", "key.weight")):
            assert torch.allclose(value, found[0][key], rtol=0, atol=2e-5), key


def test_the_mean_is_of_the_merged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The product of two means is not the mean of two products."""
    seen: dict[int, dict[str, Tensor]] = {}
    call = _KeepBest.__call__

    def recorded(self: Any, model: Model, *_: Any, steps: int, **__: Any) -> Any:
        if not self.at_mean:
            with merged(model):
                seen[steps] = weights(model)
        return call(self, model, steps=steps)

    monkeypatch.setattr(_KeepBest, "__call__", recorded)
    model = bi_encoder()
    curves = train(model, tmp_path / "model", tuples(), **{**RECIPE, "average": 2})
    assert not adapted(model)
    assert curves.average is not None
    for key, value in weights(model).items():
        if value.is_floating_point():
            assert torch.allclose(value, (seen[8][key] + seen[12][key]) / 2, rtol=0, atol=1e-6), key


@pytest.mark.parametrize("track", ["embedding", pytest.param("reranker", marks=pytest.mark.slow)])
def test_a_killed_training_goes_on_with_its_adapters_to_the_same_end(track: str, tmp_path: Path) -> None:
    """A checkpoint holds what is trained, and the optimiser's moments of it; the frozen weights are in neither."""
    project = TrainingProject(tmp_path, 0.1, epochs=8, evaluations=4, average=2, lr=1e-3)
    project.set(lora={"rank": 4, "alpha": 8.0, "dropout": 0.1, "targets": ["query", "value"]})
    project.train(track)
    expected = project.outcome(track)
    project.set(save_steps=7)
    project.run("-c", KILLED, track, "whole", "21", code=-signal.SIGKILL)
    (checkpoint,) = tmp_path.glob(f".resume/train/{track}/*/checkpoint-21")
    trained = load_file(checkpoint / "trained.safetensors")
    head = {name for name in trained if "lora" not in name}
    assert head == (set() if track == "embedding" else {"0.model.classifier.weight", "0.model.classifier.bias"})
    assert sum(value.numel() for name, value in trained.items() if name not in head) == 2 * 4 * (384 + 384)
    assert not (checkpoint / "model.safetensors").exists()
    moments = torch.load(checkpoint / "optimizer.pt", weights_only=True)["state"]
    sizes = sum(math.prod(state["exp_avg"].shape) for state in moments.values())
    assert sizes == sum(value.numel() for value in trained.values())
    assert "goes on from step 21 of 24" in project.train(track)
    assert project.outcome(track) == expected


def test_the_guards_points_lie_between_the_untouched_and_the_merged_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = TrainingProject(tmp_path, 0.0, lora={"rank": 4}, lr=3e-3, epochs=8)
    project.train_here("embedding", monkeypatch)
    folder = tmp_path / "models/embedding"
    after = load_file(folder / "model.safetensors")
    project.guard("embedding", max_loss=0.0)
    monkeypatch.setattr("decant.train.guard.choose", lambda points, *_: points[2])
    project.train_here("embedding", monkeypatch)
    before, between = load_file(tmp_path / "student/model.safetensors"), load_file(folder / "model.safetensors")
    assert between.keys() == before.keys()
    assert any(not torch.equal(value, before[name]) for name, value in after.items())
    for name, value in between.items():
        assert torch.equal(value, torch.lerp(before[name], after[name], 0.5)), name


@pytest.mark.slow
def test_two_processes_train_adapters_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = TrainingProject(tmp_path, 0.0, lora={"rank": 4}, evaluations=1)
    project.train_here("reranker", monkeypatch)
    alone = load_file(tmp_path / "models/reranker/model.safetensors")
    project.set(processes=2)
    project.train("reranker")
    together = load_file(tmp_path / "models/reranker/model.safetensors")
    for name, value in together.items():
        if not name.endswith(("key.bias", "classifier.bias")):
            assert torch.allclose(value, alone[name], rtol=0, atol=1e-6), name


def test_a_layer_that_the_model_does_not_have_is_refused_with_those_it_has(tmp_path: Path) -> None:
    model = loaded(tiny.bi_encoder("Qwen3", tmp_path), "bi_encoder")
    with pytest.raises(DecantError) as caught:
        add_adapters(model, Lora(targets=["q_proj", "query"]))
    assert "train.lora.targets: Qwen3Model has no linear layer named 'query'" in str(caught.value)
    assert "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj" in str(caught.value)
    assert not adapted(model)
    add_adapters(model, Lora(targets=["q_proj", "v_proj"]))
    names = {name.split(".lora_")[0].rpartition(".")[2] for name, _ in model.named_parameters() if ".lora_" in name}
    assert names == {"q_proj", "v_proj"}
