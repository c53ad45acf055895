"""Load models from safetensors only. Imported by all that loads one, so that the libraries keep quiet."""

import logging
import os
from pathlib import Path
from typing import Any, Literal

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from decant.files import read_json
from decant.models.limits import positions

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
logging.getLogger("sentence_transformers").setLevel(logging.ERROR)


def load_causal_lm(folder: Path, *, dtype: str = "float32", trust_remote_code: bool = False) -> Any:
    """Load a causal language model of transformers, on the GPU where there is one.

    Args:
        folder: of the model.
        dtype: of the weights.
        trust_remote_code: whether code that lies in the folder may run.
    """
    model = AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=getattr(torch, dtype),
        use_safetensors=True,
        trust_remote_code=trust_remote_code,
        local_files_only=True,
    )
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def transformer_of(model: SentenceTransformer | CrossEncoder) -> Any:
    """The transformers model inside."""
    return model[0].model


def limit_length(model: SentenceTransformer | CrossEncoder, max_length: int | None) -> None:
    """Have a model cut texts or pairs after so many tokens, or at its own limit where that is lower; in place."""
    if max_length is not None:
        model.max_seq_length = min(max_length, positions(transformer_of(model).config.to_dict()))


def detect_kind(folder: Path) -> Literal["bi_encoder", "cross_encoder"]:
    """Tell from a checkpoint's own files whether it embeds texts or scores pairs."""
    described = folder / "config_sentence_transformers.json"
    if described.is_file() and (model_type := read_json(described).get("model_type")):
        return "cross_encoder" if model_type == "CrossEncoder" else "bi_encoder"
    architectures = read_json(folder / "config.json").get("architectures") or [""]
    return "cross_encoder" if architectures[0].endswith("ForSequenceClassification") else "bi_encoder"
