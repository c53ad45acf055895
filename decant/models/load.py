"""Load bi-encoders, cross-encoders and causal language models from safetensors only, cross-encoders with raw scores."""

import logging
import os
from pathlib import Path
from typing import Any, Literal

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from decant.errors import DecantError
from decant.files import read_json

UNLIMITED = 2**31 - 1
# Models of these types count positions from behind the padding token.
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet")

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
logging.getLogger("sentence_transformers").setLevel(logging.ERROR)


def load_bi_encoder(
    folder: Path,
    *,
    max_length: int | None = None,
    dtype: str = "float32",
    trust_remote_code: bool = False,
) -> SentenceTransformer:
    """Load a sentence-transformers model.

    Args:
        folder: of the model.
        max_length: tokens after which a text is cut; None keeps the model's own.
        dtype: of the weights.
        trust_remote_code: whether code that lies in the folder may run.
    """
    model = SentenceTransformer(
        str(folder),
        model_kwargs={"use_safetensors": True, "dtype": getattr(torch, dtype)},
        trust_remote_code=trust_remote_code,
        local_files_only=True,
    )
    _limit_length(model, max_length)
    return model


def load_cross_encoder(
    folder: Path,
    *,
    max_length: int | None = None,
    fresh_head: bool = False,
    dtype: str = "float32",
    trust_remote_code: bool = False,
) -> CrossEncoder:
    """Load a cross-encoder with one raw logit as its score (no sigmoid).

    Args:
        folder: of a cross-encoder, or of a backbone when the head is fresh.
        max_length: tokens after which a pair is cut; None keeps the model's own.
        fresh_head: whether a head that the folder does not have may be added, with random weights.
        dtype: of the weights.
        trust_remote_code: whether code that lies in the folder may run.

    Raises:
        DecantError: the folder's model has no head, and none may be added.
    """
    architectures = read_json(folder / "config.json").get("architectures") or [""]
    if not fresh_head and not architectures[0].endswith("ForSequenceClassification"):
        raise DecantError(
            f"{folder}: {architectures[0] or 'the model'} has no classification head to keep",
            "name a cross-encoder, or set the student's `head` to `fresh`",
        )
    model = CrossEncoder(
        str(folder),
        num_labels=1,
        activation_fn=nn.Identity(),
        model_kwargs={"use_safetensors": True, "dtype": getattr(torch, dtype)},
        trust_remote_code=trust_remote_code,
        local_files_only=True,
    )
    _limit_length(model, max_length)
    return model


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


def positions(config: Any) -> int:
    """The longest text in tokens that a model has positions for."""
    count: int = getattr(config, "max_position_embeddings", None) or UNLIMITED  # T5's positions are relative
    if config.model_type in OFFSET_POSITIONS:
        count -= (config.pad_token_id or 0) + 1
    return count


def _limit_length(model: SentenceTransformer | CrossEncoder, max_length: int | None) -> None:
    if max_length is not None:
        model.max_seq_length = min(max_length, positions(transformer_of(model).config))


def detect_kind(folder: Path) -> Literal["bi_encoder", "cross_encoder"]:
    """Tell from a checkpoint's own files whether it embeds texts or scores pairs."""
    described = folder / "config_sentence_transformers.json"
    if described.is_file() and (model_type := read_json(described).get("model_type")):
        return "cross_encoder" if model_type == "CrossEncoder" else "bi_encoder"
    architectures = read_json(folder / "config.json").get("architectures") or [""]
    return "cross_encoder" if architectures[0].endswith("ForSequenceClassification") else "bi_encoder"


def own_limit(folder: Path, trust_remote_code: bool = False) -> int:
    """The longest text in tokens that a model takes: it has positions for it, and its authors meant it to read it."""
    config: Any = AutoConfig.from_pretrained(str(folder), trust_remote_code=trust_remote_code, local_files_only=True)
    limit = positions(config)
    described = folder / "sentence_bert_config.json"
    meant = read_json(described).get("max_seq_length") if described.is_file() else None
    return limit if meant is None else min(limit, meant)
