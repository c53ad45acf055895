"""Load models from safetensors only. Imported by all that loads one, so that the libraries keep quiet."""

import logging
import os
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Transformer
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from decant.files import read_json
from decant.models.limits import positions
from decant.models.packing import pack

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
torch.backends.cuda.enable_cudnn_sdp(False)  # it plans anew for every shape, for up to a second

Loaded = TypeVar("Loaded", SentenceTransformer, CrossEncoder)


def load_causal_lm(folder: Path, *, dtype: str = "float32", trust_remote_code: bool = False) -> Any:
    """Load a causal language model of transformers, on the GPU where there is one."""
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


def load_sentence_transformers(
    kind: type[Loaded], folder: Path, max_length: int | None, dtype: str, trust_remote_code: bool, **options: Any
) -> Loaded:
    """Load a model of sentence-transformers.

    Args:
        kind: its class.
        folder: of the model.
        max_length: tokens after which it cuts a text or pair, or at its own limit where that is lower; None keeps its
            own.
        dtype: of the weights.
        trust_remote_code: whether code that lies in the folder may run.
        options: others of the class.
    """
    model = kind(
        str(folder),
        model_kwargs={"use_safetensors": True, "dtype": getattr(torch, dtype)},
        trust_remote_code=trust_remote_code,
        local_files_only=True,
        **options,
    )
    if max_length is not None:
        model.max_seq_length = min(max_length, positions(transformer_of(model).config.to_dict()))
    for module in model.modules():
        if isinstance(module, Transformer):  # the first module, or several behind a router
            _know_padding(module.model.config, module.tokenizer)
            pack(module.model)
    return model


def _know_padding(config: Any, tokenizer: Any) -> None:
    """Give a config without a padding token the tokenizer's: a decoder's head looks for the token before padding."""
    padding = getattr(tokenizer, "pad_token_id", None)
    for each in (config, config.get_text_config()):
        if getattr(each, "pad_token_id", None) is None and padding is not None:
            each.pad_token_id = padding


def detect_kind(folder: Path) -> Literal["bi_encoder", "cross_encoder"]:
    """Tell from a checkpoint's own files whether it embeds texts or scores pairs."""
    described = folder / "config_sentence_transformers.json"
    if described.is_file() and (model_type := read_json(described).get("model_type")):
        return "cross_encoder" if model_type == "CrossEncoder" else "bi_encoder"
    architectures = read_json(folder / "config.json").get("architectures") or [""]
    return "cross_encoder" if architectures[0].endswith("ForSequenceClassification") else "bi_encoder"
