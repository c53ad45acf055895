"""A student's formats score as the student does, or are refused."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from decant.data.sets import Row, Split
from decant.errors import DecantError
from decant.evaluate.run import evaluate
from decant.export.formats import FORMATS
from decant.export.graph import write_onnx
from decant.export.run import Exported, export
from decant.export.settings import Export
from decant.kinds import kind_of
from decant.models import cross_encoder
from decant.report.exported import exported_table
from tests.support import tiny_architectures, tiny_models
from tests.support.students import FRUIT
from tests.support.students import cross_encoder as small_reranker

# Words that the tiny tokenizers know, in texts of many lengths: some alone in their batch, most beside padding.
ROWS = [
    Row(
        f"the colour of a {fruit}",
        [f"a {fruit} is red" + " , as all know" * place],
        [f"a {other} is heavy and big" + " and sweet" * (place % 4) for other in FRUIT if other != fruit][:4],
    )
    for place, fruit in enumerate(FRUIT)
]
DEV = Split(ROWS, "")
FLOATS: dict[str, Any] = {"formats": ["onnx", "openvino"]}


def exported(folder: Path, settings: dict[str, Any], target: Path, dimensions: Sequence[int] = ()) -> Exported:
    kind = kind_of(folder)
    target.mkdir()
    return export(
        kind.models, lambda: kind.models.load(folder), folder, Export(**settings), DEV, dimensions, 400, target, print
    )


# Positions from behind the padding token's number, relative ones, those of a decoder that reads its last token, rotary
# ones within windows; MiniLM's, from 0, below.
@pytest.mark.parametrize("name", ["MPNet", "Qwen3"])
def test_embeddings_are_the_students(name: str, tmp_path: Path) -> None:
    check(tiny_architectures.bi_encoder(name, tmp_path), tmp_path)


def test_shortened_embeddings_have_figures_of_their_own(tmp_path: Path) -> None:
    student = tiny_architectures.bi_encoder("MPNet", tmp_path)
    kind = kind_of(student)
    settings: dict[str, Any] = {"formats": ["onnx", "onnx_int8"], "max_loss": 1.0}
    told, cost = exported(student, settings, tmp_path / "exported", [8, 2])
    run = evaluate(kind.scorer(student, 400), DEV, [8, 2])
    assert told["shortened"] == {str(n): {"map": run.shortened[n].means()["map"]} for n in (8, 2)}
    assert len({told["map"], *(short["map"] for short in told["shortened"].values())}) == 3
    for entry in told["formats"].values():
        for numbers, short in entry["shortened"].items():
            own = told["shortened"][numbers]["map"]
            assert short["loss"] == pytest.approx((own - short["map"]) / own, abs=1e-6)
    assert all(abs(short["loss"]) < 1e-6 for short in told["formats"]["onnx"]["shortened"].values())
    _, rows = exported_table({"embedding": {"exported": told}}, {"embedding": {"exported": cost}})
    assert [row[1] for row in rows[3:6]] == ["onnx", "onnx@8", "onnx@2"]
    assert rows[2] == ["embedding", "student, PyTorch@2", f"{told['shortened']['2']['map']:.4f}", "–", "–", "–", "–"]


def test_a_format_whose_shortened_embeddings_lose_too_much_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its embeddings have their numbers the other way round: whole ones score as before."""
    student = tiny_architectures.bi_encoder("MPNet", tmp_path)

    def turned(path: Path) -> Any:
        run = FORMATS["onnx"].open(path)
        return lambda tokens: run(tokens)[:, ::-1].copy()

    monkeypatch.setitem(FORMATS, "onnx_int8", replace(FORMATS["onnx"], exact=False, open=turned))
    settings: dict[str, Any] = {"formats": ["onnx_int8"], "max_loss": 0.0}
    told, _ = exported(student, settings, tmp_path / "exported", [4, 2, 1])
    entry = told["formats"]["onnx_int8"]
    assert (entry["loss"], entry["kept"]) == (0, False)
    assert max(short["loss"] for short in entry["shortened"].values()) > 0
    assert " of the first 2 numbers, " in capsys.readouterr().out


def test_a_head_of_the_transformer_is_exported_with_it(tmp_path: Path) -> None:
    check(tiny_architectures.cross_encoder("XLM-R", tmp_path), tmp_path)


def test_a_head_in_modules_is_exported_with_the_transformer(tmp_path: Path) -> None:
    check(tiny_models.modular_cross_encoder(tmp_path / "student", pooling="mean"), tmp_path)


def check(student: Path, tmp_path: Path) -> None:
    told, cost = exported(student, FLOATS, tmp_path / "exported")
    assert [entry["difference"] < 1e-4 for entry in told["formats"].values()] == [True, True]
    assert all(entry["kept"] and abs(entry["loss"]) < 1e-6 for entry in told["formats"].values())
    assert set(cost) == {"student", "onnx", "openvino"}
    for measured in cost.values():
        assert measured["bytes"] > 1000
        assert measured["speed"]["low"] > 0


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layer of the real MiniLM, with a head."""
    folder = tmp_path_factory.mktemp("student") / "reranker"
    small_reranker().save_pretrained(str(folder))
    return folder


def without_the_head(model: Any, inputs: Any) -> Any:
    """The mean of the hidden states in place of the score."""
    hidden = model[0].model.base_model(**inputs).last_hidden_state
    return hidden.mean(dim=(1, 2))


def test_an_export_that_loses_its_head_is_refused(
    reranker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_encoder, "outputs", without_the_head)
    with pytest.raises(DecantError, match=r"onnx: scores differ from the student's by up to"):
        exported(reranker, {"formats": ["onnx"]}, tmp_path / "exported")


def test_int8_is_smaller_and_close(reranker: Path, tmp_path: Path) -> None:
    told, cost = exported(reranker, {"max_loss": 1.0}, tmp_path / "exported")
    for runtime in ("onnx", "openvino"):
        entry = told["formats"][f"{runtime}_int8"]
        assert entry["kept"]
        assert 0 < entry["difference"] < 0.2
        assert cost[f"{runtime}_int8"]["bytes"] < 0.3 * cost[runtime]["bytes"]
    assert {path.name for path in (tmp_path / "exported").iterdir()} == {
        *("tokenizer.json", "tokenizer_config.json", "config_sentence_transformers.json", "README.md"),
        *("onnx", "openvino"),
    }
    assert sys.modules["openvino_telemetry"] is None  # OpenVINO tells nobody


def test_a_format_that_loses_too_much_is_not_kept(
    reranker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the real format of a student whose head was turned round, so that it ranks the other way."""
    turned = tmp_path / "turned"
    model = small_reranker()
    for parameter in model[0].model.classifier.parameters():
        nn.init.constant_(parameter, 0) if parameter.ndim == 1 else parameter.data.neg_()
    model.save_pretrained(str(turned))
    kind, means = kind_of(turned), {}
    for folder in (reranker, turned):
        means[evaluate(kind.scorer(folder, 400), DEV).means()["map"]] = folder
    best, worst = means[max(means)], means[min(means)]
    write_onnx(kind.models, kind.models.load(worst), tmp_path / "worst.onnx")

    def write_the_other(_: Path, path: Path) -> None:
        path.write_bytes((tmp_path / "worst.onnx").read_bytes())

    other = replace(FORMATS["onnx_int8"], write=write_the_other)
    monkeypatch.setitem(FORMATS, "onnx_int8", other)
    told, cost = exported(best, {"formats": ["onnx", "onnx_int8"], "max_loss": 0.01}, tmp_path / "exported")
    assert told["formats"]["onnx_int8"]["loss"] > 0.01
    assert [entry["kept"] for entry in told["formats"].values()] == [True, False]
    assert list(cost) == ["student", "onnx"]
    assert [path.name for path in (tmp_path / "exported/onnx").iterdir()] == ["model.onnx"]
    assert "% lost: not kept, since `max_loss` is 1 %" in capsys.readouterr().out


@pytest.mark.parametrize("package", ["onnxruntime", "onnxscript", "openvino"])
def test_a_missing_package_is_told_with_the_extra(
    package: str, reranker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DecantError, match=rf"needs {package}, .*\n.*pip install '.\[export\]'"):
        exported(reranker, {}, tmp_path / "exported")


def test_weights_above_what_one_file_holds_lie_beside_the_graph(
    reranker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every graph is large here; that of 8 bits is refused, with all its files."""
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 0)
    monkeypatch.setattr("decant.export.formats.LARGE", 0)
    settings: dict[str, Any] = {"formats": ["onnx", "onnx_int8"]}
    told, cost = exported(reranker, {**settings, "max_loss": 1.0}, tmp_path / "kept")
    kept = {path.name for path in (tmp_path / "kept/onnx").iterdir()}
    assert kept == {"model.onnx", "model.onnx.data", "model_int8.onnx", "model_int8.onnx.data"}
    assert told["formats"]["onnx"]["difference"] < 1e-4
    assert cost["onnx"]["bytes"] > 40e6
    monkeypatch.setattr("decant.export.run._compare", lambda *_: {"map": 0.1, "loss": 0.5, "kept": False})
    exported(reranker, settings, tmp_path / "refused")
    assert [path.name for path in (tmp_path / "refused").iterdir() if path.is_dir()] == ["onnx"]
    assert list((tmp_path / "refused/onnx").iterdir()) == []


def test_a_format_is_named_once() -> None:
    with pytest.raises(ValueError, match="each format once"):
        Export(formats=["onnx", "onnx"])
