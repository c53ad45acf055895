"""Tiny students of each architecture, with random weights, in folders as their authors publish them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

LAYERS = 4
WORDS = [
    "the",
    "colour",
    "of",
    "a",
    "and",
    "its",
    "smell",
    "is",
    "red",
    "as",
    "all",
    "know",
    "heavy",
    "big",
    "apple",
    "pear",
    "plum",
    "cherry",
    "quince",
    "grape",
    "melon",
    "fig",
    "lime",
    "date",
    "peach",
    ",",
    "weight",
    "sweet",
]
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
IDS = {"pad_token_id": 0, "cls_token_id": 1, "sep_token_id": 2, "bos_token_id": 1, "eos_token_id": 2}
SIZES: dict[str, Any] = {
    "vocab_size": len(SPECIAL) + len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.3,  # so that every layer moves the outputs visibly
    **IDS,
}
PLACES = {"max_position_embeddings": 80}
# Windows shorter than the texts. Of the four layers the first and the last read the whole text (every third does).
WINDOWS = {**PLACES, "local_attention": 4, "global_attn_every_n_layers": 3}
# The first two layers read the whole text, the others a window.
GROUPED = {"num_key_value_heads": 2, "head_dim": 16, "use_sliding_window": True, "sliding_window": 3}
GROUPED |= {"max_window_layers": 2}

BI_ENCODERS: dict[str, Callable[[], Any]] = {
    "BERT": lambda: BertModel(BertConfig(**SIZES, **PLACES)),
    "XLM-R": lambda: XLMRobertaModel(XLMRobertaConfig(**SIZES, **PLACES)),
    "ModernBERT": lambda: ModernBertModel(ModernBertConfig(**SIZES, **WINDOWS)),
    "MPNet": lambda: MPNetModel(MPNetConfig(**SIZES, **PLACES)),
    "Qwen3": lambda: Qwen3Model(Qwen3Config(**SIZES, **GROUPED)),
}
CROSS_ENCODERS: dict[str, Callable[[], Any]] = {
    "XLM-R": lambda: XLMRobertaForSequenceClassification(XLMRobertaConfig(**SIZES, **PLACES, num_labels=1)),
    "ModernBERT": lambda: ModernBertForSequenceClassification(ModernBertConfig(**SIZES, **WINDOWS, num_labels=1)),
}


def tokenizer(last_token: bool) -> PreTrainedTokenizerFast:
    """Whole words; `[CLS]` before each text and `[SEP]` behind it, or as a decoder needs it: padding on the left."""
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate([*SPECIAL, *WORDS])}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="$A [SEP]" if last_token else "[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        **names,
        padding_side="left" if last_token else "right",
        model_input_names=["input_ids", "attention_mask"],
    )


def bi_encoder(name: str, folder: Path) -> Path:
    """An embedding model of one of `BI_ENCODERS`: mean pooling, or the last token's of a decoder."""
    transformer = _transformer(BI_ENCODERS[name], folder / "bare", last_token=name == "Qwen3")
    module = Transformer(str(transformer))
    pooling = Pooling(SIZES["hidden_size"], pooling_mode="lasttoken" if name == "Qwen3" else "mean")
    model = SentenceTransformer(modules=[module, pooling, Normalize()], device="cpu")
    model.save_pretrained(str(folder / "student"), create_model_card=False)
    _as_published(folder / "student")
    return folder / "student"


def cross_encoder(name: str, folder: Path) -> Path:
    """A cross-encoder of one of `CROSS_ENCODERS`, with one label."""
    return _transformer(CROSS_ENCODERS[name], folder / "student", last_token=False)


def _transformer(make: Callable[[], Any], folder: Path, last_token: bool) -> Path:
    torch.manual_seed(0)
    make().save_pretrained(folder)
    tokenizer(last_token).save_pretrained(folder)
    _as_published(folder)
    return folder


def _as_published(folder: Path) -> None:
    """Let a ModernBERT's config.json name no layer's attention, but which are global, as the published ones do."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if config["model_type"] == "modernbert":
        del config["layer_types"]
    path.write_text(json.dumps(config), encoding="utf-8")
