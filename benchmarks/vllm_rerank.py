"""How fast vLLM scores pairs for a Qwen3 reranker, against the published way, with the same scores.

The published recipe hands vLLM batches of 8 prompts through `generate`, one token each, and reads the log-probabilities
of yes and no. (With `logprobs_mode="processed_logprobs"`, or the figures would be wrong.) Decant hands it all prompts
at once and reads logit(yes) − logit(no) off the pooling path. Both run in one process and take turns. The weights are
random.

    make test-vllm; OMP_NUM_THREADS=1 .venv-vllm/bin/python -m benchmarks.vllm_rerank   # a tiny Qwen3 on the CPU
    python -m benchmarks.vllm_rerank --shape 8b   # Qwen3-Reranker-8B's shape, on a GPU of 80 GB

With the tiny model what is compared is everything around the matrix products.
"""

import argparse
import functools
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_CPU_KVCACHE_SPACE": "1"}
os.environ |= {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
from benchmarks.gpu_estimate import SHAPES
from decant.models.scorer import Scores
from decant.score.engines.base import Forward, load_forward
from decant.score.prompts import Prompt, RerankerPrompts, make_prompts
from tests.support import tiny_models as tiny

BATCH = 8
ROUNDS = 5
SHARE = 0.45  # of a GPU's memory for each of the two engines


def pairs_of(round_: int) -> tuple[list[str], list[str]]:
    """The pairs of a round: 30 candidates a query, and no text that an earlier round has left in a cache."""
    queries = [f"query {round_}.{number} about the {word}" for number, word in enumerate(tiny.WORDS)]
    candidates = [f"{word} of {number} {round_}" for number, word in enumerate(tiny.WORDS[:30])]
    return [query for query in queries for _ in candidates], candidates * len(queries)


def published(folder: Path, yes: int, no: int, dtype: str) -> Forward:
    """Log-odds by batches of 8 through `generate`."""
    from vllm import LLM, SamplingParams

    options = {"enforce_eager": dtype == "float32", "logprobs_mode": "processed_logprobs"}
    model = LLM(str(folder), dtype=dtype, max_model_len=400, **options)
    params = SamplingParams(max_tokens=1, logprobs=20, allowed_token_ids=[yes, no])

    def forward(prompts: Sequence[Prompt]) -> Scores:
        scores = []
        for first in range(0, len(prompts), BATCH):
            batch = [{"prompt_token_ids": prompt.ids} for prompt in prompts[first : first + BATCH]]
            for output in model.generate(batch, params, use_tqdm=False):
                found = output.outputs[0].logprobs[0]
                scores.append(found[yes].logprob - found[no].logprob)
        return np.array(scores, dtype=np.float32)

    return forward


def write_8b(folder: Path) -> None:
    """Replace the tiny model in a folder by one of the 8B shape, drawn on the GPU; the tokenizer stays."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(SHAPES["8b"][1].config(), dtype=torch.bfloat16)
    model.save_pretrained(folder)
    del model
    torch.cuda.empty_cache()


def main() -> None:
    """Print one table: the best of several rounds, in which the two take turns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vllm_rerank", description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=("tiny", "8b"), default="tiny")
    large = parser.parse_args().shape == "8b"
    if not large:
        os.environ["TORCH_COMPILE_DISABLE"] = "1"  # a machine without a GPU may have no compiler
    import vllm

    with tempfile.TemporaryDirectory() as scratch:
        folder = tiny.qwen3(Path(scratch) / "model", embedding=False)
        dtype = "bfloat16" if large else "float32"
        if large:
            write_8b(folder)
            vllm.LLM = functools.partial(vllm.LLM, gpu_memory_utilization=SHARE)
        teacher = tiny.teacher("causal_lm", "vllm", folder, 400, dtype=dtype)
        made = make_prompts(teacher, folder)
        assert isinstance(made, RerankerPrompts)
        assert made.no is not None
        ways = {"published": published(folder, made.yes, made.no, dtype), "decant": load_forward(teacher, folder)}
        best = dict.fromkeys(ways, float("inf"))
        difference = 0.0
        for round_ in range(ROUNDS + 1):
            prompts = made.build(made.items(*pairs_of(round_)), "find it")
            scores = {}
            for name, forward in ways.items():
                start = time.perf_counter()
                scores[name] = forward(prompts)
                if round_:  # the first one warms up
                    best[name] = min(best[name], time.perf_counter() - start)
            difference = max(difference, float(np.abs(scores["published"] - scores["decant"]).max()))
    print(
        f"{len(prompts)} pairs, {sum(len(prompt.ids) for prompt in prompts)} tokens a round, best of {ROUNDS} rounds\n"
    )
    print("| way | pairs/s | ratio |\n| --- | --- | --- |")
    print(f"| batches of {BATCH} through generate (baseline) | {len(prompts) / best['published']:.0f} | 1 |")
    print(f"| Decant | {len(prompts) / best['decant']:.0f} | {best['published'] / best['decant']:.2f} |")
    print(f"\nThe scores differ by at most {difference:.1e}.")


if __name__ == "__main__":
    main()
