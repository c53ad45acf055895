"""Measure teachers and students of the published recipe's shapes on a GPU, or calculate the recipe's GPU hours.

    python -m benchmarks.gpu [--vllm]     # measures: needs a CUDA device, and no download: the weights are random
    python -m benchmarks.gpu --estimate   # calculates: needs no GPU
    python -m benchmarks.gpu --tiny       # runs every row on the CPU with tiny models: a rehearsal, not a measurement
    python -m benchmarks.gpu --shape minilm --only train   # measures the default's students on the CPU

The models are built on the device from the shapes in the published config.json files: teachers in bfloat16, students in
float32 with bfloat16 autocast. Teachers read texts of 3/4 to 5/4 of the stated length, sorted, in batches of at most
16,384 tokens, padded to the longest; students take whole steps (forward, backward, AdamW) on texts of one length.
Below each plain loop stands the same work by Decant: `decant-…` are a teacher's engine as the stage `score` loads it,
and the stage `train` itself. Rows named `short` have real short texts, of all lengths, and their plain loop texts of
the mean length: it wastes nothing on padding. In rows named `shared` thirty prompts begin alike.

Model FLOPs, without embeddings, padding or any recomputation (Chowdhery et al., arXiv:2204.02311, appendix B):
    forward(text) = 2 · P · tokens + a · layers · heads · head_dim · tokens²    training = 3 · forward
where P counts the layers' matrices and a is 4, or 2 where attention is causal. The share of the peak is FLOP/s over the
device's rate for one large matrix product in the same run. Hours of the estimate = FLOPs / (peak · utilisation).
"""

import argparse
import gc
import importlib.util
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.gpu_decant import engine_work, real_texts, train_stage
from benchmarks.gpu_estimate import SHAPES, line, print_estimate
from benchmarks.gpu_plain import Row, draw_batches, rate, teacher_work, train_work, vllm_work

ON_CPU = ("minilm", "tiny")
REHEARSAL = "the CPU (a smoke test, not a measurement)"


@dataclass(frozen=True)
class Measured:
    """Calls a second, and what one call does; `memory` is the peak in bytes, None where torch did not allocate it."""

    calls: float
    items: int
    unit: str
    tokens: int
    flops: float
    length: int  # tokens of a text
    memory: int | None


def rows_of(shape: str, vllm: bool) -> list[Row]:
    """Every row of the table for one of `SHAPES`."""
    embedder, reranker, student, cross_encoder = SHAPES[shape]
    # A prompt has about 90 tokens on stackoverflowdupquestions and 110 on scidocs: see the sets below.
    teachers = [("embedding", embedder, 32), ("embedding", embedder, 512)]
    teachers += [("reranker", reranker, 100), ("reranker", reranker, 512)]
    rows = [Row(f"{kind}-{length}", model, length) for kind, model, length in teachers]
    rows.insert(3, replace(rows[2], name="reranker-shared-100", shared=True))
    of_vllm = [replace(row, name=f"vllm-{row.name}", way="vllm") for row in rows if vllm]
    text, pair = (8, 16) if shape == "tiny" else (64, 128)
    rows += [Row("train-embedding-1", student, text, 1, 32), Row("train-embedding-16", student, text, 16, 32)]
    tuples, texts, pairs = (48, 4, 6) if shape == "minilm" else (16, 7, 9)  # of params.yaml, and of presets/qwen3.yaml
    rows += [Row("train-embedding-short", student, 0, tuples, texts, real=True)]
    rows += [Row("train-reranker-1", cross_encoder, pair, 1, 9), Row("train-reranker-16", cross_encoder, pair, 16, 9)]
    tuples = 8 if shape == "minilm" else 16
    rows += [Row("train-reranker-short", cross_encoder, 0, tuples, pairs, real=True)]
    return [each for row in rows for each in (row, replace(row, name=f"decant-{row.name}", way="decant"))] + of_vllm


def matrix_peak(seconds: float, device: torch.device) -> float:
    """FLOP/s of one large matrix product, in bfloat16 on a GPU and in float32 on the CPU."""
    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (512, torch.float32)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    return 2 * size**3 * rate(lambda: torch.mm(left, right, out=out), seconds, device)


def measure(row: Row, seconds: float, device: torch.device) -> Measured:
    """Build the row's model, time its work, and let go of it."""
    cuda = device.type == "cuda" and row.way != "vllm"
    if row.real:
        row = replace(row, length=round(real_texts(row).tokens))
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    if row.tuples:
        items, unit, tokens = 1, "steps", row.tuples * row.texts * row.length
        flops = 3 * row.shape.forward_flops(row.length, row.tuples * row.texts)
        calls = train_stage(row).steps if row.way == "decant" else rate(train_work(row, device), seconds, device)
    else:
        batches = draw_batches(row.length, 16384 if device.type == "cuda" else 1024, row.shape.vocab, row.shared)
        lengths = [len(text) for batch in batches for text in batch]
        items, unit, tokens = len(lengths), "pairs" if row.reranker else "texts", sum(lengths)
        flops = sum(map(row.shape.forward_flops, lengths))
        makers = {"plain": teacher_work, "vllm": vllm_work, "decant": engine_work}
        calls = rate(makers[row.way](row, batches, device), seconds, device)
    return Measured(
        calls, items, unit, tokens, flops, row.length, torch.cuda.max_memory_allocated(device) if cuda else None
    )


def measure_all(rows: Sequence[Row], seconds: float, device: torch.device) -> Iterator[tuple[Row, Measured | str]]:
    """Each row's measurement, or in its place why there is none: a row that fails leaves the others alone."""
    for row in rows:
        gc.collect()  # the row before; not in the handler, whose traceback still holds its model
        if device.type == "cuda":
            torch.cuda.empty_cache()  # vLLM's process needs the memory
        try:
            result: Measured | str = measure(row, seconds, device)
        except Exception as error:
            if "out of memory" in str(error).lower() or isinstance(error, torch.OutOfMemoryError):
                result = "out of memory"
            else:
                result = f"failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:80]}"
        yield row, result


def measured_cells(row: Row, result: Measured | str, peak: float, plain: Measured | str | None) -> list[str]:
    """The cells of one row of the table of measurements; `plain` is the plain loop's, for a row of Decant."""
    per_call = f"{row.tuples} × {row.texts}" if row.tuples else "–"
    if isinstance(result, str):
        return [row.name, row.shape.name, str(row.length or "–"), per_call, result, *["–"] * 5]
    cells = [row.name, row.shape.name, str(result.length), per_call]
    flops = result.calls * result.flops
    return [
        *cells,
        f"{result.calls * result.items:,.2f} {result.unit}",
        f"{result.calls * result.tokens:,.0f}",
        f"{flops / 1e12:,.3f}",
        f"{100 * flops / peak:.3g} %",
        f"{result.calls / plain.calls:.3g}" if isinstance(plain, Measured) else "–",
        "–" if result.memory is None else f"{result.memory / 1e9:.1f}",
    ]


def print_measurements(arguments: argparse.Namespace) -> int:
    """Print the table row by row; return 1 if a row failed for another reason than memory."""
    device = torch.device("cpu" if arguments.shape in ON_CPU else "cuda")
    name = (
        torch.cuda.get_device_name()
        if device.type == "cuda"
        else ("the CPU" if arguments.shape == "minilm" else REHEARSAL)
    )
    rows = [row for row in rows_of(arguments.shape, arguments.vllm) if arguments.only in row.name]
    peak = matrix_peak(arguments.seconds, device)
    print(
        f"`{shlex.join(['python', '-m', 'benchmarks.gpu', *sys.argv[1:]])}` on {name}, torch {torch.__version__}; ",
        end="",
    )
    print(f"one large matrix product: {peak / 1e12:,.3f} TFLOP/s\n")
    header = [
        "row",
        "model",
        "tokens a text",
        "n-tuples × texts",
        "a second",
        "tokens/s",
        "TFLOP/s",
        "share of peak",
        "ratio to the plain loop",
        "memory, GB",
    ]
    print(line(header), line(["---"] * len(header)), sep="\n")
    failed = 0
    results: dict[str, Measured | str] = {}
    for row, result in measure_all(rows, arguments.seconds, device):
        results[row.name] = result
        plain = results.get(row.name.removeprefix("decant-")) if row.way == "decant" else None
        print(line(measured_cells(row, result, peak, plain)), flush=True)
        failed |= isinstance(result, str) and result.startswith("failed")
    return int(failed)


def main() -> int:
    """Read the command line; measure or calculate."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="8b", help="teachers' size; minilm and tiny run on the CPU")
    parser.add_argument("--tiny", action="store_const", const="tiny", dest="shape", help="the same as --shape tiny")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name contains this")
    parser.add_argument("--seconds", type=float, default=5.0, help="time for each measurement (default: 5)")
    parser.add_argument("--vllm", action="store_true", help="measure the teachers with vLLM as well")
    parser.add_argument("--estimate", action="store_true", help="calculate the recipe's GPU hours instead")
    parser.add_argument(
        "--tflops", type=float, help="with --estimate: a GPU's dense bfloat16 peak (default: four GPUs)"
    )
    parser.add_argument("--utilisation", type=float, default=0.4, help="with --estimate: share of it (default: 0.4)")
    arguments = parser.parse_args()
    if min(arguments.seconds, arguments.utilisation, arguments.tflops or 1) <= 0:
        parser.error("--seconds, --tflops and --utilisation must be above 0")
    if arguments.estimate:
        return print_estimate(arguments)
    if not any(arguments.only in row.name for row in rows_of(arguments.shape, arguments.vllm)):
        names = ", ".join(row.name for row in rows_of(arguments.shape, arguments.vllm))
        parser.error(f"--only {arguments.only}: no such row; there are {names}")
    if arguments.vllm and not importlib.util.find_spec("vllm"):
        parser.error("--vllm: vLLM is not installed; leave the flag out, or pip install vllm")
    if arguments.shape not in ON_CPU and not torch.cuda.is_available():
        parser.error("no CUDA device: run it where there is one, or try the path on the CPU with --tiny")
    return print_measurements(arguments)


if __name__ == "__main__":
    sys.exit(main())
