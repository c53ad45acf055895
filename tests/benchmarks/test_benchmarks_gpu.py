"""The GPU benchmark runs whole on the CPU with tiny models, and its arithmetic agrees with torch's own counts."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, AutoModelForCausalLM

from benchmarks import gpu, gpu_decant, gpu_estimate
from tests.support.project import ROOT

ROWS = [row.name for row in gpu.rows_of("tiny", vllm=False)]
CPU = torch.device("cpu")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command in this process, as if there were no GPU; returns what it printed."""

    def call(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["benchmarks/gpu.py", *arguments])
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        try:
            ended = gpu.main()
        except SystemExit as stop:
            ended = stop.code
        assert ended == code
        return "".join(capsys.readouterr())

    return call


def cells(table: str) -> list[list[str]]:
    """The cells of every line of a Markdown table, its header and ruler left out."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"][2:]


@pytest.mark.slow
def test_a_tiny_run_measures_every_row() -> None:
    """As a user runs it, without a GPU and without a network."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--seconds", "0.01"]
    printed = subprocess.run(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, check=True).stdout
    assert "a smoke test, not a measurement" in printed  # nobody quotes it as a GPU's
    assert f"torch {torch.__version__}" in printed
    assert "`python -m benchmarks.gpu --tiny --seconds 0.01`" in printed
    table = cells(printed)
    assert [row[0] for row in table] == ROWS
    for row in table:
        numbers = [float(re.sub(r"[^0-9.]", "", cell)) for cell in row[4:8]]  # a second, tokens/s, TFLOP/s, share
        assert all(math.isfinite(number) and number > 0 for number in numbers), row
        assert (float(row[8]) > 0) if row[0].startswith("decant-") else row[8] == "–"  # the ratio to the plain loop
        assert row[9] == "–"  # torch does not count the CPU's memory


@pytest.mark.parametrize(
    "arguments, message",
    [
        pytest.param((), "no CUDA device", id="no-gpu"),
        pytest.param(
            ("--shape", "tiny", "--only", "embeding"), "no such row; there are embedding-32", id="misspelt-row"
        ),
        pytest.param(("--shape", "tiny", "--seconds", "0"), "must be above 0", id="no-time"),
    ],
)
def test_it_stops_with_a_message(run: Callable[..., str], arguments: tuple[str, ...], message: str) -> None:
    printed = run(*arguments, code=2)
    assert message in printed


@pytest.mark.parametrize(
    "error, shown",
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 16.00 GiB"), "out of memory"),
        (RuntimeError("CUDA error: out of memory"), "out of memory"),  # from another library than torch's allocator
        (ValueError("two\nlines"), "failed: ValueError: two"),  # one line, or the table breaks
        (ValueError(""), "failed: ValueError: "),
    ],
)
def test_a_row_that_fails_leaves_the_others_alone(
    error: Exception, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Callable[[], object]:
        raise error

    monkeypatch.setattr(gpu, "teacher_work", broken)
    rows = [row for row in gpu.rows_of("tiny", vllm=False) if row.name in ("reranker-512", "train-reranker-1")]
    first, second = [result for _, result in gpu.measure_all(rows, 0.01, CPU)]
    assert first == shown
    assert isinstance(second, gpu.Measured)
    assert gpu.measured_cells(rows[0], first, 1.0, None)[4:] == [shown, "–", "–", "–", "–", "–"]


@pytest.mark.parametrize("size", ["8b", "0.6b", *gpu_estimate.PRESETS])
def test_the_parameters_are_counted_as_torch_counts_them(size: str) -> None:
    """On the meta device, which allocates nothing; beside the matrices a model has biases, norms and positions."""
    for shape in (gpu_estimate.SHAPES | gpu_estimate.PRESETS)[size]:
        auto = AutoModelForCausalLM if "Reranker" in shape.name else AutoModel
        options = {} if shape.causal or shape.modern else {"add_pooling_layer": False}
        with torch.device("meta"):
            model = auto.from_config(shape.config(), dtype=torch.bfloat16, **options)
        assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
        layers = [module for module in model.base_model.modules() if isinstance(module, nn.Linear)]
        assert sum(module.weight.numel() for module in layers) == shape.matrices
        assert shape.weights == pytest.approx(sum(weight.numel() for weight in model.parameters()), rel=0.02)


@pytest.mark.parametrize(
    "shape", [gpu_estimate.TINY, gpu_estimate.TINY_STUDENT, gpu_estimate.TINY_MODERN], ids=["causal", "full", "modern"]
)
def test_the_flops_are_counted_as_torch_counts_them(shape: gpu_estimate.Shape) -> None:
    length, texts = 24, 3
    config = shape.config()
    config._attn_implementation = "eager"  # which multiplies the whole square where attention is causal
    options = {} if shape.causal or shape.modern else {"add_pooling_layer": False}
    model = AutoModel.from_config(config, **options)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=torch.full((texts, length), 5))
    masked = 2 * shape.layers * shape.heads * shape.head_dim * length**2 * texts if shape.causal else 0
    assert counter.get_total_flops() - masked == shape.forward_flops(length, texts)


def test_batches_stay_within_the_budget_and_lengths_vary() -> None:
    batches = gpu.draw_batches(100, 1000, vocab=50)
    lengths = [len(text) for batch in batches for text in batch]
    assert len(batches) > 1
    assert all(len(batch) * max(map(len, batch)) <= 1000 for batch in batches)
    assert lengths == sorted(lengths)
    assert 75 <= min(lengths) < max(lengths) <= 125


def test_prompts_of_a_query_begin_alike_where_a_row_says_so() -> None:
    texts = [text for batch in gpu.draw_batches(100, 2000, vocab=50, shared=True) for text in batch]
    beginnings = {tuple(text[:50]) for text in texts}
    assert len(beginnings) == -(-len(texts) // 30)


def test_texts_have_as_many_tokens_as_their_row_says() -> None:
    for row in gpu.rows_of("tiny", vllm=False):
        if row.tuples and not row.real:
            texts = gpu_decant.counted_texts(row)
            query, *candidates = texts.columns
            encode = gpu_decant._tokenizer(row, texts.columns)
            inputs = zip(query, candidates[0], strict=True) if row.reranker else query
            assert {len(ids) for ids in encode(list(inputs))["input_ids"]} == {row.length}
            assert len(texts.columns) == row.texts + row.reranker


def test_the_docs_quote_the_estimate_as_it_is_printed(run: Callable[..., str]) -> None:
    docs = " ".join((ROOT / "docs" / "performance.md").read_text(encoding="utf-8").split())
    for line in filter(None, run("--estimate").splitlines()):
        assert line in docs, f"docs/performance.md lacks: {line}"  # which may break it into two lines


def test_hours_are_flops_over_the_rate(run: Callable[..., str]) -> None:
    row = cells(run("--estimate", "--tflops", "100", "--utilisation", "0.5"))[1]
    assert row[0] == "score, Qwen3-Reranker-8B, pairs"
    _, pairs, tokens, flops = gpu_estimate.estimate("8b")[1]
    assert pairs == 593_486 + 89_470 + 118_600
    assert row[2] == f"{tokens / 1e6:,.1f}"
    assert float(row[4]) == pytest.approx(flops / (100e12 * 0.5) / 3600, abs=0.005)


def test_a_shared_prefix_saves_no_more_than_its_tokens() -> None:
    whole, shared = gpu_estimate.estimate("8b")[1:3]
    assert 0.2 < shared[2] / whole[2] < 0.4
    assert shared[3] / whole[3] == pytest.approx(shared[2] / whole[2], rel=0.01)
