"""Batches are encoded in parts of similar length; `train.chunk` and `train.checkpointing` hold less of them at once."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import torch
from torch import Tensor

from decant.models.kind import Model
from decant.models.load import transformer_of
from decant.train import chunking
from decant.train.chunking import encode_in_chunks
from tests.support.loss_texts import packed
from tests.support.students import bi_encoder, cross_encoder, inputs_of, loss_of, scorer_of, train, tuples

QUERIES = ["red apple", "a very long question about a green pear", "plum", "grape"]
CANDIDATES = [
    ["an apple", "a pear", "a plum that is sweet", "a grape"],
    ["a stone", "a cloud", "a car", "a long sentence that is cut"],
    ["one", "two", "three and more", "four"],
]
LABELS = packed(
    [QUERIES, *CANDIDATES], torch.tensor([[0.9, 0.2, 0.1], [0.8, 0.3, 0.1], [0.7, 0.6, 0.1], [0.4, 0.3, 0.2]])
)
MAKES = pytest.mark.parametrize("make", [bi_encoder, cross_encoder])


class Step(NamedTuple):
    """The gradients of one batch, the bytes held until the backward pass, and the masks of the model's passes."""

    gradients: dict[str, Tensor]
    held: int
    passes: list[Tensor]


def step(
    make: Any, chunk: int | Literal["whole"] | None = "whole", checkpointing: bool = False, dropout: float = 0.0
) -> Step:
    model: Model = make()
    model.to("cpu").train()
    passes: list[Tensor] = []
    model[0].register_forward_pre_hook(lambda _, inputs: passes.append(inputs[0]["attention_mask"]))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if chunk != "whole":
        encode_in_chunks(model, chunk)
    loss = loss_of(model, student_temperature=0.5, teacher_temperature=0.5)
    inputs = inputs_of(model, [QUERIES, *CANDIDATES])
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    held: dict[int, int] = {}

    def hold(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
        total = sum(loss(inputs, LABELS).values())
    before = sum(held.values())
    total.backward()
    return Step({name: p.grad for name, p in model.named_parameters() if p.grad is not None}, before, passes)


def close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-6), name


@MAKES
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_hold_less_and_give_the_same_gradients(make: Any, chunk: int) -> None:
    expected, found = step(make), step(make, chunk)
    close(found.gradients, expected.gradients)
    assert found.held < expected.held / 10
    texts = (4 if make is bi_encoder else 3) * len(QUERIES)
    assert len(found.passes) == 2 * -(-texts // chunk)  # each forward, and again going back
    assert max(len(mask) for mask in found.passes) <= chunk


@MAKES
def test_parts_are_of_similar_length_cut_to_their_longest_and_give_the_same_gradients(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "TOKENS", 20)
    expected, found = step(make), step(make, None)
    close(found.gradients, expected.gradients)
    assert all(len(mask) == 1 or mask.numel() <= 20 for mask in found.passes)
    assert [len(mask) for mask in found.passes] == ([2, 2, 5, 5, 2] if make is bi_encoder else [1, 1, 1, 2, 2, 2, 3])
    assert all(mask.any(dim=0).all() for mask in found.passes)
    lengths = torch.cat([mask.sum(dim=1) for mask in found.passes]).tolist()
    assert lengths == sorted(lengths, reverse=True)
    assert sum(mask.numel() for mask in found.passes) < sum(mask.numel() for mask in expected.passes)


@MAKES
def test_what_is_calculated_again_repeats_the_dropout(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = step(make, 3, dropout=0.3)
    monkeypatch.setattr(chunking, "checkpoint", lambda encode, part, **_: encode(part))  # nothing is calculated again
    expected = step(make, 3, dropout=0.3)
    for name, gradient in expected.gradients.items():
        assert torch.equal(found.gradients[name], gradient), name
    assert any(
        not torch.allclose(gradient, found.gradients[name]) for name, gradient in step(make, 3).gradients.items()
    )


@MAKES
def test_checkpointing_holds_less_and_gives_the_same_gradients(make: Any) -> None:
    expected, found = step(make), step(make, checkpointing=True)
    close(found.gradients, expected.gradients)
    assert found.held < expected.held / 2


@MAKES
def test_training_with_checkpointing_draws_the_same_dropout_and_ends_the_same(make: Any, tmp_path: Path) -> None:
    models = [make(), make()]
    curves = [
        train(model, tmp_path / str(number), tuples(), checkpointing=bool(number))
        for number, model in enumerate(models)
    ]
    assert [transformer_of(model).is_gradient_checkpointing for model in models] == [False, True]
    for ours, theirs in zip(curves[1].loss, curves[0].loss, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


@MAKES
def test_training_encodes_in_parts_and_a_chunk_is_calculated_again(make: Any, tmp_path: Path) -> None:
    """Batches of eight n-tuples have 24 candidates: without a chunk, and with few tokens, they go through at once."""
    found = []
    for chunk in (None, 5):
        model, passes = make(), []

        def count(_: object, inputs: Any, of: list[int] = passes) -> None:
            if torch.is_grad_enabled():
                of.append(len(inputs[0]["attention_mask"]))

        model[0].register_forward_pre_hook(count)
        curves = train(model, tmp_path / str(chunk), tuples(), batch_size=8, epochs=1.0, evaluations=1, chunk=chunk)
        assert len(curves.loss) == 1
        found.append(passes)
    alone = [32] if make is bi_encoder else [24]
    assert found[0] == alone or torch.cuda.is_available()
    assert max(found[1]) == 5
    assert sum(found[1]) == 2 * sum(alone)


@MAKES
@pytest.mark.parametrize("chunk", [None, 1])
def test_chunks_leave_evaluation_alone(make: Any, chunk: int | None) -> None:
    model = make()
    scorer = scorer_of(model)
    before = scorer.score(QUERIES, CANDIDATES[0])
    encode_in_chunks(model, chunk)
    assert (scorer.score(QUERIES, CANDIDATES[0]) == before).all()


def test_a_part_of_a_batch_has_no_column_of_padding() -> None:
    features = {
        "input_ids": torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [7, 0, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]),
        "modality": "text",
    }
    part = chunking._take(features, torch.tensor([2, 1]))
    assert part["input_ids"].tolist() == [[7, 0], [5, 6]]
    assert part["modality"] == "text"
