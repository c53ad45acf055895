"""Training that skips padding has the gradients of the padded batch. Two processes: tests/train/test_distributed.py."""

from typing import Any

import pytest
import torch
from torch import Tensor

from decant.models import load
from decant.models.load import transformer_of
from decant.models.packing import IMPLEMENTATION
from decant.train import chunking
from decant.train.chunking import encode_in_chunks
from tests.support.loss_texts import packed, teacher_of
from tests.support.students import bi_encoder, cross_encoder, inputs_of, loss_of

COLUMNS = [
    ["red apple", "a very long question about a green pear", "plum", "grape"],
    ["an apple", "a pear", "a plum that is sweet", "a grape"],
    ["a stone", "a cloud", "a car", "a long sentence that is cut"],
    ["one", "two", "three and more", "four"],
]
SCORES = torch.tensor([[0.9, 0.2, 0.1], [0.8, 0.3, 0.1], [0.7, 0.6, 0.1], [0.4, 0.3, 0.2]])
REPLAYED = [True, True, True, False]  # the last n-tuple is of the guard set, without labels
IN_BATCH = {"in_batch": True, "false_negative_margin": 0.3}


def gradients(make: Any, options: dict[str, Any], chunk: int | None = None, checkpointing: bool = False) -> Any:
    model = make().to("cpu").train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if chunk is not None or options.get("parts"):
        encode_in_chunks(model, chunk)
    settings = {name: value for name, value in options.items() if name != "parts"}
    teacher = teacher_of(384, COLUMNS) if settings else None
    loss = loss_of(model, teacher, student_temperature=0.5, teacher_temperature=0.5, **settings)
    terms = loss(inputs_of(model, COLUMNS), packed(COLUMNS, SCORES, REPLAYED))
    sum(terms.values()).backward()
    packs = transformer_of(model).config._attn_implementation == IMPLEMENTATION
    return packs, {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def distance(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest difference of a weight's gradient, relative to its norm, or to a hundredth of the largest norm.

    Some biases' gradients are sums that cancel, to 0 but for rounding: what all scores share changes no margin.
    """
    assert found.keys() == expected.keys()
    least = max(float(gradient.norm()) for gradient in expected.values()) / 100
    return max(float((found[name] - each).norm()) / max(float(each.norm()), least) for name, each in expected.items())


CASES = [(make, case) for make in (bi_encoder, cross_encoder) for case in ("whole", "parts", "chunks", "checkpointing")]


@pytest.mark.parametrize(("make", "case"), [*CASES, (bi_encoder, "in_batch"), (bi_encoder, "in_batch, chunks")])
def test_gradients_are_those_of_the_padded_batch(make: Any, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunking, "TOKENS", 20)
    options = IN_BATCH if "in_batch" in case else {}
    more = {"chunk": 3 if "chunks" in case else None, "checkpointing": case == "checkpointing"}
    packs, found = gradients(make, {**options, "parts": case == "parts"}, **more)
    assert packs
    monkeypatch.setattr(load, "pack", lambda _: False)
    packs, expected = gradients(make, options)
    assert not packs
    assert distance(found, expected) < 1e-5
