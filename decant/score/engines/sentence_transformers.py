"""Score pairs with sentence-transformers: the engine for teachers here, and for every student."""

from collections.abc import Sequence

import torch
from sentence_transformers import SentenceTransformer
from torch.nn.functional import normalize

from decant.models.load import load_bi_encoder, load_cross_encoder, transformer_of
from decant.models.scorer import Scores, batches_by_length
from decant.score.engines import Forward, TeacherSpec
from decant.score.engines.transformers import padded
from decant.score.prompts import Prompt


def load(spec: TeacherSpec) -> Forward:
    """The engine for bi_encoder and cross_encoder teachers."""
    load_model = load_bi_encoder if spec.kind == "bi_encoder" else load_cross_encoder
    model = load_model(spec.folder, dtype=spec.dtype, trust_remote_code=spec.trust_remote_code).eval()
    tokenizer = model.tokenizer
    typed = "token_type_ids" in tokenizer.model_input_names

    @torch.inference_mode()
    def forward(prompts: Sequence[Prompt]) -> Scores:
        parts: list[torch.Tensor] = []
        batches = batches_by_length([len(prompt.ids) for prompt in prompts], spec.batch_size)
        for batch in batches:
            inputs = padded(
                [prompts[index] for index in batch], tokenizer.pad_token_id or 0, model.device, token_types=typed
            )
            if isinstance(model, SentenceTransformer):
                parts.append(normalize(model(inputs)["sentence_embedding"].float()).cpu())
            else:
                parts.append(transformer_of(model)(**inputs).logits[:, 0].float().cpu())
        order = torch.tensor([index for batch in batches for index in batch])
        scores: Scores = torch.cat(parts)[torch.argsort(order)].numpy()
        return scores

    return forward
