"""Measure teachers and students of the published recipe's shapes on a GPU, or calculate the recipe's GPU hours.

    python -m benchmarks.gpu [--vllm]     # measures: needs a CUDA device, and no download: the weights are random
    python -m benchmarks.gpu --estimate   # calculates: needs no GPU

The models are built on the device from the shapes in the published config.json files: teachers in bfloat16, students in
float32 with bfloat16 autocast. Teachers read texts of 3/4 to 5/4 of the stated length, sorted, in batches of at most
16,384 tokens, padded to the longest; students take whole steps (forward, backward, AdamW) on texts of one length.

Model FLOPs, without embeddings, padding or any recomputation (Chowdhery et al., arXiv:2204.02311, appendix B):
    forward(text) = 2 · P · tokens + a · layers · heads · head_dim · tokens²    training = 3 · forward
where P counts the layers' matrices and a is 4, or 2 where attention is causal. The share of the peak is FLOP/s over the
device's rate for one large matrix product in the same run. Hours of the estimate = FLOPs / (peak · utilisation).
"""

import argparse
import gc
import importlib.util
import os
import random
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)

from benchmarks.gpu_estimate import SHAPES, Shape, line, print_estimate

YES, NO = 1, 0  # any two tokens: the weights are random
TEMPERATURE = 0.05


@dataclass(frozen=True)
class Row:
    """One measurement: `texts` is the number a step of training takes (n-tuples · texts each), 0 for a teacher."""

    name: str
    shape: Shape
    length: int
    tuples: int = 0
    texts: int = 0


@dataclass(frozen=True)
class Measured:
    """Calls a second, and what one call does; `memory` is the peak in bytes, None where torch did not allocate it."""

    calls: float
    items: int
    unit: str
    tokens: int
    flops: float
    memory: int | None


def rows_of(shape: str, vllm: bool) -> list[Row]:
    """Every row of the table for one of `SHAPES`."""
    embedder, reranker, student, cross_encoder = SHAPES[shape]
    # A prompt has about 90 tokens on stackoverflowdupquestions and 110 on scidocs: see the sets below.
    teachers = [("embedding", embedder, 32), ("embedding", embedder, 512)]
    teachers += [("reranker", reranker, 100), ("reranker", reranker, 512)]
    rows = [Row(f"{kind}-{length}", model, length) for kind, model, length in teachers]
    rows += [Row(f"train-embedding-{count}", student, 64, count, 32) for count in (1, 16)]
    rows += [Row(f"train-reranker-{count}", cross_encoder, 128, count, 9) for count in (1, 16)]
    return rows + [replace(row, name=f"vllm-{row.name}") for row in rows[: 4 if vllm else 0]]


def synchronise(device: torch.device) -> None:
    """Wait for the device's queue."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rate(work: Callable[[], object], seconds: float, device: torch.device) -> float:
    """Calls of `work` a second over about `seconds`, after a warm-up."""
    work()
    taken, count = 0.0, 1
    while True:
        synchronise(device)
        start = time.perf_counter()
        for _ in range(count):
            work()
        synchronise(device)
        taken = time.perf_counter() - start
        if count > 1 or taken >= seconds:
            return count / taken
        count = max(2, int(seconds / taken))


def matrix_peak(seconds: float, device: torch.device) -> float:
    """FLOP/s of one large matrix product, in bfloat16 on a GPU and in float32 on the CPU."""
    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (512, torch.float32)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    return 2 * size**3 * rate(lambda: torch.mm(left, right, out=out), seconds, device)


def draw_batches(mean: int, budget: int, vocab: int) -> list[list[list[int]]]:
    """About four batches of token ids, shorter texts first, each of at most `budget` tokens with its padding."""
    rng = random.Random(0)
    lengths = sorted(rng.randint(mean * 3 // 4, mean * 5 // 4) for _ in range(4 * budget // mean))
    batches: list[list[list[int]]] = [[]]
    for length in lengths:
        if (len(batches[-1]) + 1) * length > budget:
            batches.append([])
        batches[-1].append([rng.randrange(vocab) for _ in range(length)])
    return batches


def teacher_work(row: Row, batches: list[list[list[int]]], device: torch.device) -> Callable[[], object]:
    """Embeds or scores every batch with plain transformers, the answer read at each text's last token."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    auto = AutoModelForCausalLM if "reranker" in row.name else AutoModel
    with torch.device(device):
        model = auto.from_config(row.shape.config(), dtype=dtype).eval()
    inputs = []
    for batch in batches:
        ids = nn.utils.rnn.pad_sequence([torch.tensor(text) for text in batch], batch_first=True).to(device)
        last = torch.tensor([len(text) - 1 for text in batch], device=device)
        inputs.append((ids, (torch.arange(ids.shape[1], device=device) <= last[:, None]).long(), last))

    @torch.inference_mode()
    def work() -> list[Tensor]:
        answers = []
        for ids, mask, last in inputs:
            hidden = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            pooled = hidden[torch.arange(len(last), device=device), last]
            if "reranker" in row.name:
                answers.append(pooled @ (model.lm_head.weight[YES] - model.lm_head.weight[NO]))
            else:
                answers.append(functional.normalize(pooled, dim=-1))
        return answers

    return work


def vllm_work(row: Row, batches: list[list[list[int]]], device: torch.device) -> Callable[[], object]:
    """The same with vLLM, which draws the random weights itself: its folder holds no 16 GB, and a tokenizer unused."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # it logs to stdout, between the rows of the table
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    from vllm import LLM, PoolingParams

    reranker = "reranker" in row.name
    config = row.shape.config()
    config.architectures = ["Qwen3ForSequenceClassification" if reranker else "Qwen3ForCausalLM"]
    with tempfile.TemporaryDirectory(prefix="decant-gpu-") as folder:
        config.save_pretrained(folder)
        unused = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
        PreTrainedTokenizerFast(tokenizer_object=unused, unk_token="[UNK]").save_pretrained(folder)
        # Prefix caching is off, since the texts share no prefix: each token is read once, as with transformers.
        options = {"load_format": "dummy", "enable_prefix_caching": False, "enforce_eager": True}
        dtype = "bfloat16" if device.type == "cuda" else "float32"
        llm = LLM(folder, runner="pooling", dtype=dtype, max_model_len=1024, **options)
    prompts = [{"prompt_token_ids": text} for batch in batches for text in batch]
    if reranker:
        return lambda: llm.classify(prompts, pooling_params=PoolingParams(use_activation=False), use_tqdm=False)
    return lambda: llm.embed(prompts, use_tqdm=False)


def train_work(row: Row, device: torch.device) -> Callable[[], object]:
    """One step: KL divergence over each query's candidates, or MarginMSE, on random targets."""
    reranker, cuda = "reranker" in row.name, device.type == "cuda"
    with torch.device(device):
        if reranker:
            model = AutoModelForSequenceClassification.from_config(row.shape.config(), dtype=torch.float32)
        else:
            model = AutoModel.from_config(row.shape.config(), dtype=torch.float32, add_pooling_layer=False)
        ids = torch.randint(5, row.shape.vocab, (row.tuples * row.texts, row.length))
        scores = torch.randn(row.tuples, row.texts - (not reranker))
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=cuda)

    def work() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=cuda):
            output = model(input_ids=ids, attention_mask=torch.ones_like(ids))
        if reranker:
            logits = output.logits.float().view(row.tuples, row.texts)
            margins, target = (each[:, :1] - each[:, 1:] for each in (logits, scores))
            loss = functional.mse_loss(margins, target)
        else:
            texts = functional.normalize(output.last_hidden_state[:, 0].float(), dim=-1)
            query, candidates = texts.view(row.tuples, row.texts, -1).split([1, row.texts - 1], dim=1)
            logits = (query * candidates).sum(-1) / TEMPERATURE
            loss = functional.kl_div(logits.log_softmax(-1), scores.softmax(-1), reduction="batchmean")
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return work


def measure(row: Row, seconds: float, device: torch.device) -> Measured:
    """Build the row's model, time its work, and let go of it."""
    cuda = device.type == "cuda" and not row.name.startswith("vllm")
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    if row.tuples:
        items, unit, tokens = 1, "steps", row.tuples * row.texts * row.length
        flops = 3 * row.shape.forward_flops(row.length, row.tuples * row.texts)
        work = train_work(row, device)
    else:
        batches = draw_batches(row.length, 16384 if device.type == "cuda" else 1024, row.shape.vocab)
        lengths = [len(text) for batch in batches for text in batch]
        items, unit, tokens = len(lengths), "pairs" if "reranker" in row.name else "texts", sum(lengths)
        flops = sum(map(row.shape.forward_flops, lengths))
        work = (vllm_work if row.name.startswith("vllm") else teacher_work)(row, batches, device)
    calls = rate(work, seconds, device)
    return Measured(calls, items, unit, tokens, flops, torch.cuda.max_memory_allocated(device) if cuda else None)


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


def measured_cells(row: Row, result: Measured | str, peak: float) -> list[str]:
    """The cells of one row of the table of measurements."""
    per_call = f"{row.tuples} × {row.texts}" if row.tuples else "–"
    cells = [row.name, row.shape.name, str(row.length), per_call]
    if isinstance(result, str):
        return [*cells, result, "–", "–", "–", "–"]
    flops = result.calls * result.flops
    return [
        *cells,
        f"{result.calls * result.items:,.2f} {result.unit}",
        f"{result.calls * result.tokens:,.0f}",
        f"{flops / 1e12:,.3f}",
        f"{flops / peak:.1%}",
        "–" if result.memory is None else f"{result.memory / 1e9:.1f}",
    ]


def print_measurements(arguments: argparse.Namespace) -> int:
    """Print the table row by row; return 1 if a row failed for another reason than memory."""
    device = torch.device("cpu" if arguments.shape == "tiny" else "cuda")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "the CPU (a smoke test, not a measurement)"
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
        "memory, GB",
    ]
    print(line(header), line(["---"] * len(header)), sep="\n")
    failed = 0
    for row, result in measure_all(rows, arguments.seconds, device):
        print(line(measured_cells(row, result, peak)), flush=True)
        failed |= isinstance(result, str) and result.startswith("failed")
    return int(failed)


def main() -> int:
    """Read the command line; measure or calculate."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="8b", help="teachers' size; tiny runs on the CPU")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name contains this")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each measurement (default: 10)")
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
    if arguments.shape != "tiny" and not torch.cuda.is_available():
        parser.error("no CUDA device: run it where there is one, or try the path on the CPU with --shape tiny")
    return print_measurements(arguments)


if __name__ == "__main__":
    sys.exit(main())
