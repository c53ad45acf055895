"""A model's tokenizer: by the light library `tokenizers` where that is known to give the ids of `transformers`, which
takes seconds to import; else by `transformers`.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from decant.files import read_json

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
BERT = {"type": "BertNormalizer", "clean_text": True}
BERT_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
# Model type and tokenizer class whose ids a test compares with those of `transformers`.
VERIFIED = {("bert", "BertTokenizer"), ("bert", "BertTokenizerFast"), ("qwen3", "TokenizersBackend")}
# Keys of tokenizer_config.json that have `transformers` change what tokenizer.json says.
CHANGING = {
    "add_bos_token", "add_eos_token", "add_prefix_space", "added_tokens_decoder", "additional_special_tokens",
    "auto_map", "clean_up_tokenization_spaces", "extra_special_tokens", "split_special_tokens", "truncation_side",
}  # fmt: skip


def load_tokenizer(folder: Path, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a model's folder, with the calls of `transformers`' that prompts need."""
    if not trust_remote_code and (light := light_tokenizer(folder)) is not None:
        return light
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trust_remote_code, local_files_only=True)


def light_tokenizer(folder: Path) -> "LightTokenizer | None":
    """The tokenizer of a folder by `tokenizers` alone; None where `transformers` might read the folder differently."""
    path, described = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if not path.is_file() or not described.is_file():
        return None
    config, content = read_json(described), read_json(path)
    name = config.get("tokenizer_class", "")
    bert = name.startswith("Bert")
    if (read_json(folder / "config.json").get("model_type"), name) not in VERIFIED or CHANGING & set(config):
        return None
    if bert and not _is_plain_bert(config, content):
        return None
    known = {token["content"] for token in content["added_tokens"] if token["special"]}
    named = {key: value for key, value in config.items() if key.endswith("_token") and value is not None}
    special = {**(BERT_TOKENS if bert else {}), **named}
    listed = folder / "special_tokens_map.json"
    others = read_json(listed) if listed.is_file() else {}
    if not known.issuperset(map(str, special.values())) or not others.items() <= special.items():
        return None
    if (content.get("truncation") or {}).get("direction", "Right") != "Right":
        return None
    inputs = config.get("model_input_names")
    if inputs is None:
        inputs = ["input_ids", *(["token_type_ids"] if bert else []), "attention_mask"]
    return LightTokenizer(Tokenizer.from_file(str(path)), special, inputs)


def _is_plain_bert(config: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    """Whether the tokenizer that `transformers` builds of a BERT's vocabulary is the one that tokenizer.json has."""
    normalizer = BERT | {
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
        "strip_accents": config.get("strip_accents"),
        "lowercase": config.get("do_lower_case", True),
    }
    model = {key: value for key, value in content["model"].items() if key != "vocab"}
    wordpiece = {"type": "WordPiece", "unk_token": config.get("unk_token", "[UNK]"), "continuing_subword_prefix": "##"}
    return (
        content["normalizer"] == normalizer
        and content["pre_tokenizer"] == {"type": "BertPreTokenizer"}
        and model == wordpiece | {"max_input_chars_per_word": 100}
    )


class LightTokenizer:
    """What prompts need of a tokenizer of `transformers`, by the library beneath it, without its own cuts and padding.

    Args:
        special: "pad_token" and the like → the token.
        inputs: the names of what the model takes.
    """

    def __init__(self, backend: Tokenizer, special: Mapping[str, str], inputs: Sequence[str]) -> None:
        self.backend_tokenizer = backend
        self.model_input_names = list(inputs)
        self.unk_token_id, self.pad_token_id, self.bos_token_id = (
            backend.token_to_id(special[name]) if name in special else None
            for name in ("unk_token", "pad_token", "bos_token")
        )
        backend.no_padding()
        backend.no_truncation()

    def __call__(
        self,
        texts: Sequence[str] | str,
        seconds: Sequence[str] | None = None,
        *,
        add_special_tokens: bool = True,
        truncation: bool | str = False,
        max_length: int = 0,
        **_: Any,
    ) -> dict[str, Any]:
        """See `PreTrainedTokenizerBase.__call__`: ids, token types and offsets, whatever is asked for."""
        single = isinstance(texts, str)
        if truncation:
            strategy = truncation if isinstance(truncation, str) else "longest_first"
            self.backend_tokenizer.enable_truncation(max_length, strategy=strategy)
        pairs = [texts] if single else list(texts) if seconds is None else list(zip(texts, seconds, strict=True))
        try:
            encoded = self.backend_tokenizer.encode_batch(pairs, add_special_tokens=add_special_tokens)
        finally:
            self.backend_tokenizer.no_truncation()
        fields = {"input_ids": "ids", "token_type_ids": "type_ids", "offset_mapping": "offsets"}
        columns = {name: [getattr(encoding, field) for encoding in encoded] for name, field in fields.items()}
        return {name: column[0] for name, column in columns.items()} if single else columns

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The ids of one text."""
        return list(self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens included."""
        return str(self.backend_tokenizer.decode(list(ids), skip_special_tokens=False))

    def num_special_tokens_to_add(self, pair: bool) -> int:
        """How many special tokens a text or a pair has."""
        return int(self.backend_tokenizer.num_special_tokens_to_add(pair))
