"""A published `pytorch_model.bin` of pinned SHA-256 is converted once, and nothing in it runs."""

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, BertConfig, BertForMaskedLM, XLMRobertaConfig, XLMRobertaModel

from decant.errors import DecantError
from decant.files import sha256
from decant.sources.references import model_folder
from tests.support.hub_client import COMMIT, Client, Reference
from tests.support.hub_server import Hub, Repository
from tests.support.processes import at_once
from tests.support.project import ROOT

TINY: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
}
TOKENS = torch.arange(2, 12).reshape(2, 5)


class Marking:
    """Unpickled, it would leave a file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def save(model: torch.nn.Module, folder: Path, **options: Any) -> Path:
    """A model's folder as it was published before safetensors: configuration, pickle, and a subfolder."""
    model.config.save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode": "cls"}')
    (folder / "colbert_linear.pt").write_bytes(b"another pickle")
    torch.save(model.state_dict(), folder / "pytorch_model.bin", **options)
    return folder


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A tiny model of bge-m3's kind."""
    torch.manual_seed(0)
    return save(XLMRobertaModel(XLMRobertaConfig(**TINY)).eval(), tmp_path / "published")


def files_in(folder: Path) -> set[str]:
    """The suffixes of the files in a folder and below it."""
    return {path.suffix for path in folder.rglob("*") if path.is_file()}


def convert(folder: Path) -> Path:
    return model_folder(f"path:{folder}", None, sha256(folder / "pytorch_model.bin"))


@pytest.mark.parametrize("zipped", [True, False])  # as torch saves since 1.6, and as before
def test_the_converted_model_gives_the_same_outputs(tmp_path: Path, zipped: bool) -> None:
    torch.manual_seed(1)
    model = XLMRobertaModel(XLMRobertaConfig(**TINY)).eval()
    folder = convert(save(model, tmp_path / "published", _use_new_zipfile_serialization=zipped))
    loaded = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
    with torch.no_grad():
        assert torch.equal(loaded(TOKENS).last_hidden_state, model(TOKENS).last_hidden_state)
    copied = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert copied == {"config.json", "1_Pooling/config.json", "model.safetensors"}


def test_weights_that_are_tied_or_transposed_survive(tmp_path: Path) -> None:
    torch.manual_seed(2)
    model = BertForMaskedLM(BertConfig(**TINY)).eval()
    state = model.state_dict()
    embedding, decoder = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
    assert state[embedding].data_ptr() == state[decoder].data_ptr()
    weight = (
        "bert.pooler.dense.weight" if "bert.pooler.dense.weight" in state else "cls.predictions.transform.dense.weight"
    )
    folder = save(model, tmp_path / "published")
    state[weight] = state[weight].t().contiguous().t()
    assert not state[weight].is_contiguous()
    torch.save(state, folder / "pytorch_model.bin")
    loaded = BertForMaskedLM.from_pretrained(convert(folder), use_safetensors=True).eval()
    with torch.no_grad():
        assert torch.equal(loaded(TOKENS).logits, model(TOKENS).logits)


def test_a_model_is_converted_once(published: Path) -> None:
    converted = convert(published)
    before = (converted / "model.safetensors").stat()
    pinned = sha256(published / "pytorch_model.bin")
    (published / "pytorch_model.bin").unlink()
    assert model_folder(f"path:{published}", None, pinned) == converted
    assert (converted / "model.safetensors").stat() == before


IMPORTS = """
import torch
import safetensors.torch
from decant.files import sha256
from decant.sources import references
"""
COUNTED = """
def convert(*arguments):
    print("converted")
    original(*arguments)

original, references.convert = references.convert, convert
folder = references.Path({folder!r})
print(references.model_folder("path:" + str(folder), None, sha256(folder / "pytorch_model.bin")))
"""


def test_processes_that_need_a_model_at_once_convert_it_once(published: Path, cache: Path) -> None:
    script = COUNTED.format(folder=str(published))
    outputs = at_once(IMPORTS, script, {**os.environ, "PYTHONPATH": str(ROOT)}, 3)
    assert sum(output.count("converted") for output in outputs) == 1
    assert len({output[-1] for output in outputs}) == 1
    assert files_in(cache) == {".lock", ".json", ".safetensors"}


def test_another_configuration_of_the_same_weights_is_another_model(published: Path) -> None:
    first = convert(published)
    (published / "1_Pooling/config.json").write_text('{"pooling_mode": "mean"}')
    second = convert(published)
    assert second != first
    assert "mean" in (second / "1_Pooling/config.json").read_text()


def test_a_conversion_that_fails_leaves_nothing(published: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        convert(published)
    assert files_in(cache) <= {".lock"}
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert (convert(published) / "model.safetensors").is_file()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_runs_nothing_though_its_checksum_is_pinned(
    published: Path, tmp_path: Path, cache: Path, zipped: bool
) -> None:
    weights = published / "pytorch_model.bin"
    torch.save({"weight": Marking(tmp_path / "ran")}, weights, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DecantError, match="cannot be read as tensors alone") as caught:
        convert(published)
    assert str(weights) in caught.value.problem
    assert "safetensors" in caught.value.remedy
    assert not (tmp_path / "ran").exists()
    assert files_in(cache) <= {".lock"}
    torch.load(weights, weights_only=False)
    assert (tmp_path / "ran").exists(), "the pickle was harmless, and the test proves nothing"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"weight": [1.0]}, protocol=2), "cannot be read as tensors alone"),  # not torch's
        (b"", "cannot be read as tensors alone"),
        (b"<html>", "cannot be read as tensors alone"),  # a page in place of the file
        ([torch.ones(2)], "something else than named tensors"),
        ({"model": {"weight": torch.ones(2)}}, "something else than named tensors"),  # a whole checkpoint
    ],
)
def test_what_is_not_named_tensors_is_refused(published: Path, content: Any, message: str) -> None:
    weights = published / "pytorch_model.bin"
    if isinstance(content, bytes):
        weights.write_bytes(content)
    else:
        torch.save(content, weights)
    with pytest.raises(DecantError, match=message):
        convert(published)


def test_another_checksum_is_refused_before_anything_is_loaded(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.load", lambda *_, **__: pytest.fail("loaded before its checksum was compared"))
    with pytest.raises(DecantError, match=r"pytorch_model\.bin has SHA-256 .*, expected 0000"):
        model_folder(f"path:{published}", None, "0" * 64)


def test_without_a_checksum_the_message_says_how_to_have_the_file_converted(published: Path) -> None:
    with pytest.raises(DecantError, match="holds no safetensors") as caught:
        model_folder(f"path:{published}", None, None)
    assert "set `sha256`" in caught.value.remedy
    assert "pytorch_model.bin" in caught.value.remedy


def test_a_folder_without_weights_is_named(published: Path) -> None:
    (published / "pytorch_model.bin").unlink()
    with pytest.raises(DecantError, match=r"neither safetensors nor pytorch_model\.bin"):
        model_folder(f"path:{published}", None, "0" * 64)


@pytest.mark.parametrize("scheme", ["hub", "modelscope"])
def test_from_a_hub_the_pickle_comes_only_where_it_is_pinned_and_needed(
    published: Path, tmp_path: Path, scheme: str
) -> None:
    files = {str(path.relative_to(published)): path.read_bytes() for path in published.rglob("*") if path.is_file()}
    pinned = hashlib.sha256(files["pytorch_model.bin"]).hexdigest()
    both = {**files, "model.safetensors": b"weights"}
    repositories = {
        ("model", "them/pickled"): Repository(COMMIT, files),
        ("model", "them/both"): Repository(COMMIT, both),
    }
    source = f"{scheme}:them/pickled"
    with Hub(repositories).serve() as hub:
        client = Client(tmp_path / "home", hub.endpoint)
        unpinned, safetensors = client.resolve(
            Reference(source), Reference(f"{scheme}:them/both", sha256=hashlib.sha256(b"weights").hexdigest())
        )
        assert "holds no safetensors" in unpinned.fault
        assert safetensors.folder, safetensors
        assert not [request for request in hub.requests if request.endswith(".bin")]
        first, second = client.resolve(Reference(source, sha256=pinned), Reference(source, sha256=pinned))
    assert first.folder, first
    assert first == second
    assert first.folder.is_relative_to(tmp_path / "home/cache/decant/converted" / pinned)
    assert (first.folder / "1_Pooling/config.json").is_file()
    assert len([request for request in hub.requests if request.startswith("GET") and request.endswith(".bin")]) == 1
    assert not [request for request in hub.requests if request.endswith(".pt")]
