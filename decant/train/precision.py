"""Which numbers a student is trained in, and whether this machine can train in them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from decant.errors import DecantError

DEVICES = ("nvidia[0-9]*", "kfd", "dxg")  # of NVIDIA, of AMD, and of either in Windows' Linux


def check_precision(wanted: str, devices: Path = Path("/dev")) -> None:
    """Refuse bfloat16 where there is no GPU. Takes no time: torch, which knows more, is not imported.

    Raises:
        DecantError: bfloat16 is wanted, and there is no GPU.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if wanted == "bfloat16" and (hidden or not any(any(devices.glob(name)) for name in DEVICES)):
        raise _refusal("there is no GPU here")


def choose_precision(wanted: str, fresh_head: bool) -> tuple[bool, str]:
    """Whether to train in bfloat16, and why.

    `auto` trains a fresh head in float32: on a GPU such a reranker lost 0.017 MAP in bfloat16 (docs/training.md).

    Raises:
        DecantError: bfloat16 is wanted, and there is no GPU that has it.
    """
    import torch  # slow to import, and `check_precision` must not be

    gpu = torch.cuda.is_available()
    able = gpu and torch.cuda.is_bf16_supported()
    if wanted == "auto" and able and fresh_head:
        return False, "the head is fresh"
    if wanted == "auto":
        return able, "the GPU has bfloat16" if able else "no GPU with bfloat16"
    if wanted == "bfloat16" and not able:
        raise _refusal("this GPU has no bfloat16" if gpu else "there is no GPU here")
    return wanted == "bfloat16", "as train.precision says"


@contextmanager
def products_in_tf32(wanted: bool) -> Iterator[None]:
    """Have a GPU multiply float32 matrices in TF32, several times as fast: enough to choose between checkpoints.

    Scores stay in float32, so no two become equal as they would in bfloat16.
    """
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = wanted or before
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _refusal(reason: str) -> DecantError:
    return DecantError(f"train.precision is bfloat16, and {reason}", "set train.precision to auto or float32")
