"""Score pairs with plain transformers: the engine for causal_lm teachers, and what other engines are compared with."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from decant.models.load import load_causal_lm
from decant.models.scorer import Scores, batches_by_length
from decant.score.engines.base import Forward
from decant.score.prompts import Prompt, RerankerPrompts
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


def in_batches(batch_size: int, run: Callable[[list[Prompt]], torch.Tensor]) -> Forward:
    """An engine that runs prompts of like length together; `run` gives float32, a row a prompt."""

    @torch.inference_mode()
    def forward(prompts: Sequence[Prompt]) -> Scores:
        batches = batches_by_length([len(prompt.ids) for prompt in prompts], batch_size)
        parts = [run([prompts[index] for index in batch]).cpu() for batch in batches]
        order = torch.tensor([index for batch in batches for index in batch])
        scores: Scores = torch.cat(parts)[torch.argsort(order)].numpy()
        return scores

    return forward


def load(teacher: Teacher, folder: Path) -> Forward:
    """A causal language model's logit(yes) − logit(no) behind the last token, computed in float32."""
    prompts = RerankerPrompts(folder, teacher.max_length, teacher.trust_remote_code)
    model = load_causal_lm(folder, dtype=teacher.dtype, trust_remote_code=teacher.trust_remote_code)
    head = model.get_output_embeddings().weight
    direction = head[prompts.yes].float() - head[prompts.no].float()
    pad = prompts.tokenizer.pad_token_id or 0

    def run(batch: list[Prompt]) -> torch.Tensor:
        inputs = padded(batch, pad, model.device)
        hidden = model.get_decoder()(**inputs, use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(batch), device=model.device), inputs["attention_mask"].sum(dim=1) - 1]
        scores: torch.Tensor = last.float() @ direction
        return scores

    return in_batches(teacher.batch_size, run)
