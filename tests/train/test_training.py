"""Students and training, on the real MiniLM with few layers and few steps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from decant.errors import DecantError
from decant.evaluate.run import evaluate
from decant.kinds import KINDS
from decant.models import bi_encoder as bi_encoders
from decant.models import cross_encoder as cross_encoders
from decant.models.load import detect_kind, transformer_of
from decant.models.students import keep_layers
from decant.train.resume import Checkpoints
from tests.support.students import (
    DEV,
    MINILM,
    bi_encoder,
    cross_encoder,
    kind_of,
    loss_of,
    scorer_of,
    settings,
    train,
    train_on,
    tuples,
)


@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
def test_the_kept_checkpoint_is_the_best_on_dev_and_loads_from_safetensors(make: object, tmp_path: Path) -> None:
    curves = train(make(), tmp_path / "model", tuples())  # type: ignore[operator]
    assert [point["step"] for point in curves.dev] == [0, 2, 4]
    assert len(curves.loss) == 4
    assert not list((tmp_path / "model").rglob("*.bin"))
    kept = KINDS[detect_kind(tmp_path / "model")].models.load(tmp_path / "model")
    assert len(kept[0].model.base_model.encoder.layer) == 1
    assert evaluate(scorer_of(kept), DEV).means()["map"] == curves.best["map"]


@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
def test_without_epochs_after_is_before(make: object, tmp_path: Path) -> None:
    curves = train(make(), tmp_path / "model", tuples(), epochs=0.0)  # type: ignore[operator]
    assert [point["step"] for point in curves.dev] == [0]
    pairs = (["red apple", "green pear"], ["an apple", "a cloud"])
    fresh = make()  # type: ignore[operator]
    saved = kind_of(fresh).models.load(tmp_path / "model")
    held = saved.state_dict()
    assert held.keys() == fresh.state_dict().keys()
    assert all(torch.equal(held[name], weight) for name, weight in fresh.state_dict().items())
    # Where a weight lies in memory may decide a product's last bit.
    assert np.allclose(scorer_of(saved).score(*pairs), scorer_of(fresh).score(*pairs), rtol=0, atol=1e-6)


def test_a_worse_checkpoint_is_not_kept(tmp_path: Path) -> None:
    curves = train(bi_encoder(), tmp_path / "model", tuples([0.0, 0.0, 9.0]), lr=0.05, epochs=4.0)
    assert curves.best["map"] > min(point["map"] for point in curves.dev)
    kept = evaluate(scorer_of(bi_encoders.load(tmp_path / "model")), DEV).means()["map"]
    assert kept == curves.best["map"]


def test_a_loss_that_is_not_finite_stops(tmp_path: Path) -> None:
    with pytest.raises(DecantError, match="the loss is nan"):
        train(cross_encoder(), tmp_path / "model", tuples([float("nan"), 0.4, 0.1]))


def test_training_learns_the_teachers_margins(tmp_path: Path) -> None:
    curves = train(cross_encoder(), tmp_path / "model", tuples([5.0, 0.0, -5.0]), epochs=15.0)
    assert curves.loss[-1]["margin_mse"] < 0.5 * curves.loss[0]["margin_mse"]


def test_prompts_are_trained_with_and_saved(tmp_path: Path) -> None:
    model = bi_encoder()
    model.prompts = {"query": "Instruct: {task}\nQuery:", "document": "passage: "}
    train(model, tmp_path / "model", tuples(), epochs=0.5)
    assert bi_encoders.load(tmp_path / "model").prompts["document"] == "passage: "


@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
def test_frozen_embeddings_are_those_before_and_all_else_is_trained(make: Any, tmp_path: Path) -> None:
    model = make()
    tokens = transformer_of(model).get_input_embeddings()
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    train(model, tmp_path / "model", tuples(), freeze_embeddings=True, weight_decay=0.1)
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    frozen = {name for name, weight in model.named_parameters() if weight is tokens.weight}
    assert len(frozen) == 1
    unused = {name for name in before if ".pooler." in name and make is bi_encoder}  # it takes the mean of the tokens
    assert moved == before.keys() - frozen - unused


@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
def test_dropout_is_the_models_own_unless_it_is_given(make: Any, tmp_path: Path) -> None:
    """MiniLM's own is 0.1 everywhere. It is no part of what is saved."""
    without = make()
    for module in without.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    cases = {"own": (make(), None), "0.1": (make(), 0.1), "0": (make(), 0.0), "without": (without, None)}
    losses = {
        case: train(model, tmp_path / case, tuples(), epochs=1.0, evaluations=1, dropout=given).loss
        for case, (model, given) in cases.items()
    }
    assert losses["0.1"] == losses["own"]
    assert losses["0"] == losses["without"] != losses["own"]
    assert (tmp_path / "0/config.json").read_bytes() == (tmp_path / "own/config.json").read_bytes()


@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
def test_steps_take_the_place_of_epochs(make: Any, tmp_path: Path) -> None:
    """With fewer n-tuples the same steps are more epochs."""
    model, some = make(), tuples().select(range(5))
    training = settings(epochs=1.0, evaluations=1)
    curves = train_on(model, loss_of(model), some, training, tmp_path / "model", steps=7)
    assert [point["step"] for point in curves.dev] == [0, 7]
    assert len(curves.loss) == 7


def test_a_fresh_head_is_its_seeds_alone() -> None:
    heads = [cross_encoder(seed)[0].model.classifier for seed in (3, 3, 4)]
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    assert heads[0].bias.abs().sum() == 0


def test_a_backbone_has_no_head_to_keep() -> None:
    with pytest.raises(DecantError, match="no classification head"):
        cross_encoders.load(MINILM)


def test_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DecantError, match="no layer 6"):
        keep_layers(bi_encoders.load(MINILM), [0, 6])


def test_time_before_a_kill_counts(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints/a")
    training = settings(save_steps=2)
    torch.manual_seed(0)
    model = bi_encoder()
    first = train_on(model, loss_of(model), tuples(), training, tmp_path / "1", checkpoints=checkpoints)
    assert sorted(path.name for path in checkpoints.folder.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    again = bi_encoder()
    second = train_on(again, loss_of(again), tuples(), training, tmp_path / "2", checkpoints=checkpoints)
    assert (second.loss, second.dev) == (first.loss, first.dev)
    assert first.earlier_seconds == 0 < second.earlier_seconds
    assert (tmp_path / "2/model.safetensors").read_bytes() == (tmp_path / "1/model.safetensors").read_bytes()
