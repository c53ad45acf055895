"""bfloat16 needs a GPU: without one it is refused before anything starts."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from decant.errors import DecantError
from decant.train.precision import check_precision, choose_precision, products_in_tf32
from stages import check
from tests.support.project import ROOT


def test_precision_comes_with_its_reason() -> None:
    chosen, reason = choose_precision("auto", fresh_head=False)
    assert chosen == (torch.cuda.is_available() and torch.cuda.is_bf16_supported())
    assert reason
    assert choose_precision("float32", fresh_head=False)[0] is False


def test_a_fresh_head_trains_in_float32_unless_bfloat16_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
    assert choose_precision("auto", fresh_head=True) == (False, "the head is fresh")
    assert choose_precision("auto", fresh_head=False)[0]
    assert choose_precision("bfloat16", fresh_head=True)[0]


@pytest.mark.parametrize(("gpu", "words"), [(False, "there is no GPU here"), (True, "this GPU has no bfloat16")])
def test_training_refuses_bfloat16_where_there_is_none(gpu: bool, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: False)
    with pytest.raises(DecantError, match=words) as caught:
        choose_precision("bfloat16", fresh_head=False)
    assert caught.value.remedy == "set train.precision to auto or float32"


@pytest.mark.parametrize(
    ("device", "visible", "refused"),
    [
        (None, None, True),
        ("nvidia0", None, False),
        ("nvidia3", "3", False),
        ("nvidiactl", None, True),  # of a driver without a device
        ("kfd", None, False),
        ("dxg", None, False),
        ("nvidia0", "", True),  # hidden from the process
        ("nvidia0", "-1", True),
    ],
)
def test_the_check_looks_for_a_gpu(
    device: str | None, visible: str | None, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if device is not None:
        (tmp_path / device).touch()
    for wanted in ("auto", "float32"):
        check_precision(wanted, tmp_path)
    if not refused:
        check_precision("bfloat16", tmp_path)
        return
    with pytest.raises(DecantError, match="there is no GPU here"):
        check_precision("bfloat16", tmp_path)


def test_the_stage_check_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(params.replace("  train:\n", "  train:\n    precision: bfloat16\n", 1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DecantError, match="there is no GPU here"):
        check.main()


def test_the_check_imports_no_torch() -> None:
    code = "import sys, decant.train.precision as p; p.check_precision('auto'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_products_in_tf32_end_with_the_block() -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    for wanted in (True, False):
        with products_in_tf32(wanted):
            assert torch.backends.cuda.matmul.allow_tf32 == (wanted or before)
        assert torch.backends.cuda.matmul.allow_tf32 == before
