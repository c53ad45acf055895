"""`train.chunk` and `train.checkpointing`: less memory, the same gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_training import bi_encoder, cross_encoder, train, tuples
from torch import Tensor

from decant.chunking import encode_in_chunks
from decant.losses import LabelledKLDivLoss, LabelledMarginMSELoss
from decant.models import transformer_of
from decant.training import Student

QUERIES = ["red apple", "a very long question about a green pear", "plum", "grape"]
CANDIDATES = [
    ["an apple", "a pear", "a plum that is sweet", "a grape"],
    ["a stone", "a cloud", "a car", "a long sentence that is cut"],
    ["one", "two", "three and more", "four"],
]
SCORES = torch.tensor([[0.9, 0.2, 0.1], [0.8, 0.3, 0.1], [0.7, 0.6, 0.1], [0.4, 0.3, 0.2]])
MAKES = pytest.mark.parametrize("make", [bi_encoder, cross_encoder])


def gradients(make: Any, chunk: int | None, checkpointing: bool = False) -> tuple[dict[str, Tensor], int, int]:
    """The gradients of one batch without dropout, the bytes held until the backward pass, and the model's passes."""
    model: Student = make()
    model.to("cpu").train()
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1
        assert chunk is None or len(_[1][0]["attention_mask"]) <= chunk  # type: ignore[index]

    model[0].register_forward_pre_hook(count)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if chunk is not None:
        encode_in_chunks(model, chunk)
    loss: torch.nn.Module
    if make is bi_encoder:
        loss = LabelledKLDivLoss(model, 0.5, 0.5, 0.5)
        inputs: Any = [dict(model.preprocess(column)) for column in (QUERIES, *CANDIDATES)]
    else:
        loss, inputs = LabelledMarginMSELoss(model, 0.5, merged=chunk is not None), [QUERIES, *CANDIDATES]
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    held: dict[int, int] = {}

    def hold(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        total = sum(loss(inputs, SCORES).values())
    before = sum(held.values())
    total.backward()  # type: ignore[union-attr]
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, before, passes


@MAKES
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_hold_less_and_give_the_same_gradients(make: Any, chunk: int) -> None:
    expected, all_held, _ = gradients(make, None)
    found, held, passes = gradients(make, chunk)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-6), name
    assert held < all_held / 10
    texts = (len(QUERIES), 3 * len(QUERIES)) if make is bi_encoder else (3 * len(QUERIES),)
    assert passes == 2 * sum(-(-count // chunk) for count in texts)  # each chunk forward, and again going back


@MAKES
def test_checkpointing_holds_less_and_gives_the_same_gradients(make: Any) -> None:
    expected, all_held, _ = gradients(make, None)
    found, held, _ = gradients(make, None, checkpointing=True)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-5, atol=1e-7), name
    assert held < all_held / 2


@MAKES
@pytest.mark.parametrize("changes", [{"checkpointing": True}, {"chunk": 100}], ids=["checkpointing", "one chunk"])
def test_training_draws_the_same_dropout_and_ends_the_same(
    make: Any, changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recomputation repeats the draws. (Chunks smaller than the batch draw in another order.)"""
    monkeypatch.setattr("test_training.LabelledMarginMSELoss", _merged)
    models = [make(), make()]
    curves = [
        train(model, tmp_path / str(number), tuples(), **(changes if number else {}))
        for number, model in enumerate(models)
    ]
    recomputes = transformer_of(models[1]).is_gradient_checkpointing, "forward" in vars(models[1])
    assert recomputes == ("checkpointing" in changes, "chunk" in changes)
    for ours, theirs in zip(curves[1].loss, curves[0].loss, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


def _merged(model: Any, label_weight: float) -> LabelledMarginMSELoss:
    return LabelledMarginMSELoss(model, label_weight, merged=True)


def test_chunks_leave_evaluation_alone() -> None:
    model = bi_encoder()
    before = model.encode(QUERIES)
    encode_in_chunks(model, 1)
    assert (model.encode(QUERIES) == before).all()
