"""Score pairs with plain transformers: the engine for causal_lm teachers, and what other engines are compared with."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from decant.errors import DecantError
from decant.models.batches import by_tokens, token_budget
from decant.models.load import load_causal_lm
from decant.models.prefixes import PrefixTree, by_new_tokens, shares_prefixes
from decant.models.scorer import Scores
from decant.score.engines.base import Forward
from decant.score.prompts import Prompt, reranker_prompts
from decant.score.settings import Teacher


def padded(prompts: Sequence[Prompt], pad: int, device: torch.device, *, token_types: bool = False) -> dict[str, Any]:
    """The model's inputs for a batch: ids padded on the right, their mask, and token types where the model has them."""
    longest = max(len(prompt.ids) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    types = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        length = len(prompt.ids)
        ids[row, :length] = torch.tensor(prompt.ids)
        mask[row, :length] = 1
        types[row, prompt.second : length] = 1
    inputs = {"input_ids": ids, "attention_mask": mask, **({"token_type_ids": types} if token_types else {})}
    return {name: tensor.to(device) for name, tensor in inputs.items()}


def in_batches(budget: int, run: Callable[[list[Prompt]], torch.Tensor]) -> Forward:
    """An engine that runs prompts of like length together, a budget of tokens at a time.

    `run` gives float32, a row a prompt.
    """

    def forward(prompts: Sequence[Prompt]) -> Scores:
        return _in_order(prompts, by_tokens([len(prompt.ids) for prompt in prompts], budget), run)

    return forward


@torch.inference_mode()
def _in_order(
    prompts: Sequence[Prompt], batches: list[list[int]], run: Callable[[list[Prompt]], torch.Tensor]
) -> Scores:
    """Run batches of prompts' numbers; the scores come in the prompts' order."""
    parts = [run([prompts[index] for index in batch]).cpu() for batch in batches]
    order = torch.tensor([index for batch in batches for index in batch])
    scores: Scores = torch.cat(parts)[torch.argsort(order)].numpy()
    return scores


def load(teacher: Teacher, folder: Path) -> Forward:
    """A causal language model's logit(yes) − logit(no), or logit(yes), behind the last token, computed in float32.

    What several prompts of a batch begin with, such as the template and the query, is computed once, where the model's
    attention allows it (`decant.models.packing`).

    Raises:
        DecantError: the answers are not single tokens, or the model's logits are not the head's products alone.
    """
    prompts = reranker_prompts(teacher, folder)
    model = load_causal_lm(folder, dtype=teacher.dtype, trust_remote_code=teacher.trust_remote_code)
    if getattr(model.config.get_text_config(), "final_logit_softcapping", None) is not None:
        raise DecantError(
            f"teacher: the model of {folder} bends its logits (final_logit_softcapping), and scores are raw logits",
            "choose a model without it, such as BAAI/bge-reranker-v2-gemma",
        )
    head = model.get_output_embeddings().weight
    direction = head[prompts.yes].float() - (0 if prompts.no is None else head[prompts.no].float())
    pad = prompts.tokenizer.pad_token_id or 0
    budget = token_budget(model, teacher.batch_tokens)
    decoder = model.get_decoder()

    def read_padded(batch: list[Prompt]) -> torch.Tensor:
        inputs = padded(batch, pad, model.device)
        hidden = decoder(**inputs, use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(batch), device=model.device), inputs["attention_mask"].sum(dim=1) - 1]
        scores: torch.Tensor = last.float() @ direction
        return scores

    def read_shared(batch: list[Prompt]) -> torch.Tensor:
        tree = PrefixTree.of([prompt.ids for prompt in batch])
        hidden = decoder(**tree.inputs(model.device), use_cache=False).last_hidden_state
        scores: torch.Tensor = hidden[0, tree.last].float() @ direction
        return scores

    def forward(prompts: Sequence[Prompt]) -> Scores:
        return _in_order(prompts, by_new_tokens([prompt.ids for prompt in prompts], budget), read_shared)

    return forward if shares_prefixes(model) else in_batches(budget, read_padded)
