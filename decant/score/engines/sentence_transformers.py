"""Score pairs with sentence-transformers: the engine of bi_encoder and cross_encoder teachers on this machine."""

from pathlib import Path

import torch

from decant.models import bi_encoder, cross_encoder
from decant.models.batches import token_budget
from decant.models.kind import ModelKind
from decant.score.engines.base import Forward
from decant.score.engines.transformers import in_batches, padded
from decant.score.prompts import Prompt
from decant.score.settings import Teacher

MODULES: dict[str, ModelKind] = {"bi_encoder": bi_encoder, "cross_encoder": cross_encoder}


def load(teacher: Teacher, folder: Path) -> Forward:
    """The model's own embeddings, or its raw logits; see `decant.score.engines.base.Forward`."""
    kind = MODULES[teacher.kind]
    model = kind.load(folder, dtype=teacher.dtype, trust_remote_code=teacher.trust_remote_code).eval()
    pad = model.tokenizer.pad_token_id or 0
    typed = "token_type_ids" in model.tokenizer.model_input_names

    def run(batch: list[Prompt]) -> torch.Tensor:
        return kind.outputs(model, padded(batch, pad, model.device, token_types=typed))

    return in_batches(token_budget(model, teacher.batch_tokens), run)
