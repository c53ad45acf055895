"""What texts begin with in common is computed once, and the outputs are those of each text alone."""

import random

import pytest
import torch
from transformers import Qwen3Config, Qwen3Model

from decant.models.packing import pack
from decant.models.prefixes import PrefixTree, by_new_tokens, common

TEMPLATE = list(range(10, 18))


def prompts() -> list[list[int]]:
    """Prompts of 4 queries with 6 documents each, one of them twice, in no order."""
    rng = random.Random(0)
    queries = [[rng.randrange(100) for _ in range(5)] for _ in range(4)]
    texts = [
        [*TEMPLATE, *query, *(rng.randrange(100) for _ in range(rng.randrange(1, 9)))]
        for query in queries
        for _ in range(6)
    ]
    texts.append(texts[3])
    rng.shuffle(texts)
    return texts


@pytest.mark.parametrize("budget", [1, 40, 1000])
def test_the_last_tokens_are_those_of_each_text_alone(budget: int) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = Qwen3Model(Qwen3Config(vocab_size=100, num_key_value_heads=1, head_dim=16, pad_token_id=0, **sizes)).eval()
    texts = prompts()
    with torch.inference_mode():
        alone = torch.stack([model(input_ids=torch.tensor([text])).last_hidden_state[0, -1] for text in texts])
        assert pack(model)
        last = torch.empty_like(alone)
        for batch in by_new_tokens(texts, budget):
            tree = PrefixTree.of([texts[index] for index in batch])
            last[batch] = model(**tree.inputs(model.device), use_cache=False).last_hidden_state[0, tree.last]
    assert torch.allclose(last, alone, atol=1e-5)


def test_the_template_and_each_query_are_computed_once() -> None:
    texts = prompts()
    (batch,) = by_new_tokens(texts, 1000)
    tree = PrefixTree.of([texts[index] for index in batch])
    documents = {tuple(text) for text in texts}
    assert len(tree.ids) <= len(TEMPLATE) + 4 * 5 + sum(len(text) - 13 for text in documents) + 1
    assert sum(tree.lengths) == sum(map(len, texts))


def test_a_batch_has_at_most_a_budget_of_new_tokens_and_at_least_a_text() -> None:
    texts = prompts()
    batches = by_new_tokens(texts, 40)
    assert sorted(index for batch in batches for index in batch) == list(range(len(texts)))
    assert max(len(PrefixTree.of([texts[index] for index in batch]).ids) for batch in batches) <= 40
    assert [len(batch) for batch in by_new_tokens(texts, 1)] == [1] * len(texts)


def test_a_text_shares_all_but_its_last_token() -> None:
    assert common([1, 2, 3], [1, 2, 3]) == 2
    assert common([1, 2, 3, 4], [1, 2, 3]) == 2
    assert common([1, 5], [1, 2, 3]) == 1
    assert common([], [1]) == 0
