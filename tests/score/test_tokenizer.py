"""The light tokenizer gives exactly the ids of `transformers`, and stands back where it might not."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from decant.score.prompts.tokenizer import LightTokenizer, light_tokenizer, load_tokenizer
from decant.sources.references import resolve
from tests.support import tiny_models as tiny

TEXTS = [
    "",
    " ",
    "Plantar wart, of the LEFT foot.",
    "don't  stop - it's (very) good !",
    "acute fever of unknown origin, " * 100,
    "急性心肌梗塞，伴有发热",
    "Ünïcode ﬁ café e\u0301 \u200b\ufeff\x07",
    "👩‍⚕️🩺 fever 🤒🏽",
    "def f(x):\n\treturn x  # é",
    "[CLS] [SEP] [MASK] [PAD] [UNK] <|im_end|>\n<|im_start|>assistant\n<think> </think> <|endoftext|>",
    "x" * 300,
]
MODELS = {
    "minilm": lambda _: resolve(tiny.MINILM),
    "minilm cross-encoder": tiny.minilm_cross_encoder,
    "qwen3 embedding": lambda folder: tiny.qwen3(folder, embedding=True),
    "qwen3 reranker": lambda folder: tiny.qwen3(folder, embedding=False),
}


@pytest.fixture(scope="module", params=MODELS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[LightTokenizer, Any]:
    folder = MODELS[request.param](tmp_path_factory.mktemp("model") / "m")
    light = light_tokenizer(folder)
    assert light is not None
    return light, AutoTokenizer.from_pretrained(str(folder), local_files_only=True)


def check(light: LightTokenizer, full: Any, texts: list[str], seconds: list[str]) -> None:
    for options in (
        {},
        {"add_special_tokens": False},
        {"truncation": True, "max_length": 16},
        {"truncation": True, "max_length": 3},
    ):
        assert light(texts, **options)["input_ids"] == full(texts, **options)["input_ids"], options
    for options in ({}, {"truncation": "only_second", "max_length": 9000}):
        ours = light(texts, seconds, return_token_type_ids=True, **options)
        theirs = full(texts, seconds, return_token_type_ids=True, **options)
        assert ours["input_ids"] == theirs["input_ids"]
        assert ours["token_type_ids"] == theirs["token_type_ids"]
    for text in texts:
        options = {"add_special_tokens": False, "return_offsets_mapping": True}
        assert light(text, **options)["offset_mapping"] == full(text, **options)["offset_mapping"]
        ids = full.encode(text, add_special_tokens=False)
        assert light.encode(text, add_special_tokens=False) == ids
        assert light.encode(text) == full.encode(text)
        assert light.decode(ids) == full.decode(ids)


def test_ids_types_offsets_and_texts_are_the_same(both: tuple[LightTokenizer, Any]) -> None:
    light, full = both
    check(light, full, TEXTS, TEXTS[::-1])
    short = ["wart"] * len(TEXTS)
    options = {"truncation": "only_second", "max_length": 12, "return_token_type_ids": True}
    ours, theirs = light(short, TEXTS, **options), full(short, TEXTS, **options)
    assert ours["input_ids"] == theirs["input_ids"]
    assert ours["token_type_ids"] == theirs["token_type_ids"]
    assert light.model_input_names == full.model_input_names
    assert light.pad_token_id == full.pad_token_id
    assert light.unk_token_id == full.unk_token_id
    for pair in (False, True):
        assert light.num_special_tokens_to_add(pair) == full.num_special_tokens_to_add(pair)
    assert json.loads(light.backend_tokenizer.to_str())["model"] == json.loads(full.backend_tokenizer.to_str())["model"]


@settings(deadline=None, max_examples=100, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=60), min_size=1, max_size=4))
def test_any_text_gives_the_same(texts: list[str], both: tuple[LightTokenizer, Any]) -> None:
    check(*both, texts, texts[::-1])


def edited(name: str, **changed: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        content.update(changed)
        (folder / name).write_text(json.dumps(content))

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        edited("tokenizer_config.json", tokenizer_class="XLMRobertaTokenizer"),
        edited("tokenizer_config.json", do_lower_case=False),
        edited("tokenizer_config.json", strip_accents=False),
        edited("tokenizer_config.json", tokenize_chinese_chars=False),
        edited("tokenizer_config.json", additional_special_tokens=["[X]"]),
        edited("tokenizer_config.json", unk_token="[OTHER]"),
        edited("special_tokens_map.json", mask_token="[OTHER]"),
        edited("config.json", model_type="xlm-roberta"),
        edited("tokenizer.json", truncation={"direction": "Left", "max_length": 9, "strategy": "LongestFirst"}),
        lambda folder: (folder / "tokenizer.json").unlink(),
    ],
)
def test_where_transformers_may_read_a_folder_differently_it_is_asked(
    edit: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(resolve(tiny.MINILM), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    assert light_tokenizer(folder) is not None
    edit(folder)
    assert light_tokenizer(folder) is None


def test_remote_code_is_a_matter_of_transformers() -> None:
    assert isinstance(load_tokenizer(resolve(tiny.MINILM)), LightTokenizer)
    assert not isinstance(load_tokenizer(resolve(tiny.MINILM), trust_remote_code=True), LightTokenizer)


def test_prompts_of_the_default_teacher_load_no_library_of_models() -> None:
    script = (
        "import sys\n"
        "from decant.score.prompts import EmbeddingPrompts\n"
        "from decant.sources.references import resolve\n"
        f"EmbeddingPrompts(resolve({tiny.MINILM!r}), 256, None, None).rendered('a', 'b', '')\n"
        "import decant.score.plan, decant.score.run, decant.score.recorded\n"
        "print({'torch', 'transformers', 'sentence_transformers', 'dvc'} & set(sys.modules))\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"
