"""Tiny models of random weights of the architectures of LLM rerankers: Gemma, and Qwen2 with Qwen's tokenizer."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import GemmaConfig, GemmaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from tests.support.tiny_models import WORDS, tokenizer

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,  # so that scores differ visibly
}
LINES = ["A: wart\nB: fever", "wart\n\nB: ", "\n\n", "Yes", "No", "Given a query A and a passage B, determine"]


def gemma_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """A BPE tokenizer as Gemma's: no borders between words, and a token for the beginning."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    bpe.normalizer = normalizers.Replace(" ", "▁")
    bpe.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    bpe.decoder = decoders.Replace("▁", " ")
    names = ["<pad>", "<eos>", "<bos>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=names, show_progress=False)
    bpe.train_from_iterator([*LINES * 3, *WORDS, " ".join(WORDS)], trainer)
    bpe.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    named = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, padding_side="left", **named)
    fast.save_pretrained(folder)
    return fast


def gemma(folder: Path) -> Path:
    """A Gemma of two layers, as bge-reranker-v2-gemma."""
    torch.manual_seed(0)
    words = gemma_tokenizer(folder)
    special = {f"{name}_token_id": getattr(words, f"{name}_token_id") for name in ("pad", "eos", "bos")}
    config = GemmaConfig(vocab_size=len(words), head_dim=32, **special, **SIZES)
    GemmaForCausalLM(config).save_pretrained(folder, safe_serialization=True)
    return folder


def qwen2(folder: Path) -> Path:
    """A Qwen2 of two layers, as mxbai-rerank-v2."""
    torch.manual_seed(0)
    words = tokenizer(folder, embedding=False, words=[*WORDS, "instruction", "query", "document", "\n\n"])
    special = {f"{name}_token_id": getattr(words, f"{name}_token_id") for name in ("pad", "eos")}
    config = Qwen2Config(vocab_size=len(words), tie_word_embeddings=True, **special, **SIZES)
    Qwen2ForCausalLM(config).save_pretrained(folder, safe_serialization=True)
    return folder
