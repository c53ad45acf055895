"""A forward pass has a budget of tokens: what is stated, or what the device needs and its memory holds."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from decant.models import batches
from decant.models.batches import by_tokens, bytes_a_token, fitting, token_budget, token_counts
from tests.support.students import bi_encoder, cross_encoder

QWEN3_8B = SimpleNamespace(hidden_size=4096, intermediate_size=12288)


def on(device: str) -> Any:
    """A model without a transformer, on a device."""
    return SimpleNamespace(device=torch.device(device), modules=lambda: iter(()))


def test_batches_are_of_like_length_longest_first_and_no_larger_than_the_budget() -> None:
    assert by_tokens([5, 1, 9, 1, 7], 14) == [[2], [4, 0], [1, 3]]
    lengths = [5, 3, 9, 1, 7, 7, 2, 4]
    found = by_tokens(lengths, 14)
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    assert all(max(lengths[i] for i in batch) * len(batch) <= 14 for batch in found)
    assert [lengths[batch[0]] for batch in found] == sorted((lengths[batch[0]] for batch in found), reverse=True)


def test_a_text_over_the_budget_is_alone() -> None:
    assert by_tokens([3, 100, 3], 10) == [[1], [0, 2]]


def test_what_is_stated_counts_and_else_the_device_decides() -> None:
    assert token_budget(on("cpu"), 77) == 77
    assert token_budget(on("cuda"), 77) == 77
    assert token_budget(on("cpu"), None) == batches.ON_CPU
    assert token_budget(on("cuda"), None) == batches.ON_GPU


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (120e9, 16384),  # an 8B model on a GPU of 141 GB
        (7e9, 16384),  # on one of 24 GB, beside 16 GB of weights
        (1e9, 2048),
        (0, 512),
    ],
)
def test_a_gpu_takes_what_it_needs_or_what_fits_beside_the_weights(free: float, expected: int) -> None:
    assert fitting(int(free), bytes_a_token(QWEN3_8B, torch.bfloat16)) == expected


def test_a_float32_model_takes_more_memory_a_token() -> None:
    assert bytes_a_token(QWEN3_8B, torch.float32) > 1.7 * bytes_a_token(QWEN3_8B, torch.bfloat16)


@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
def test_counted_tokens_are_those_that_the_model_reads(make: Any) -> None:
    model = make()
    texts = ["an apple", "a very long question about a green pear and a plum that is cut in the end, of course"]
    inputs = texts if make is bi_encoder else [(text, "red") for text in texts]
    assert token_counts(model, inputs) == model.preprocess(inputs)["attention_mask"].sum(dim=1).tolist()
