"""How many tokens a model reads, found out from its files without loading any library of models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decant.files import read_json

# Models of these types count positions from behind the padding token.
OFFSET_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet")


def positions(config: Mapping[str, Any]) -> int:
    """The longest text in tokens that a model has positions for, by its config.json with the defaults of its class."""
    count: int = config.get("max_position_embeddings") or 2**31 - 1  # T5's positions are relative
    if config["model_type"] in OFFSET_POSITIONS:
        count -= (config.get("pad_token_id") or 0) + 1
    return count


def own_limit(folder: Path, trust_remote_code: bool = False) -> int:
    """The longest text in tokens that a model takes: it has positions for it, and its authors meant it to read it."""
    config = read_json(folder / "config.json")
    if trust_remote_code or not {"model_type", "max_position_embeddings", "pad_token_id"} <= set(config):
        from transformers import AutoConfig  # slow to import; it knows the defaults

        options = {"trust_remote_code": trust_remote_code, "local_files_only": True}
        config = AutoConfig.from_pretrained(str(folder), **options).to_dict()
    described = folder / "sentence_bert_config.json"
    meant = read_json(described).get("max_seq_length") if described.is_file() else None
    limit = positions(config)
    return limit if meant is None else min(limit, meant)
