"""Convert a published `pytorch_model.bin` to safetensors once, into the user's cache."""

import hashlib
import pickle
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from decant.errors import DecantError
from decant.files import atomic_folder, sha256, user_cache

PICKLE = "pytorch_model.bin"


def converted_folder(folder: Path, pickled_sha256: str, patterns: Sequence[str]) -> Path:
    """Where the converted model is, or will be: named after its weights and after the files that go with them."""
    beside = hashlib.sha256()
    for path in _beside(folder, patterns):
        beside.update(f"{path.relative_to(folder)} {sha256(path)}\n".encode())
    return user_cache() / "converted" / pickled_sha256 / beside.hexdigest()[:16]


def convert(reference: str, pickled: Path, patterns: Sequence[str], target: Path) -> None:
    """Write the model that `pickled` belongs to with its weights as `model.safetensors`, whole or not at all.

    The weights are read by torch's unpickler for tensors alone, which runs nothing that the file names. The files
    beside `pickled` that match a pattern are copied, those in subfolders too.

    Raises:
        DecantError: the file holds something other than tensors.
    """
    import torch
    from safetensors.torch import save_file

    mend = "name a model published as safetensors, or convert its weights yourself where you trust them"
    try:
        state = torch.load(pickled, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DecantError(f"{reference}: {pickled} cannot be read as tensors alone ({reason})", mend) from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise DecantError(f"{reference}: {pickled} holds something else than named tensors", mend)
    tensors, storages = {}, set()
    for name, tensor in state.items():
        storage = tensor.untyped_storage().data_ptr()
        # Tied weights are two names of one storage, which safetensors refuses.
        shared = storage in storages
        tensors[name] = tensor.clone(memory_format=torch.contiguous_format) if shared else tensor.contiguous()
        storages.add(storage)
    with atomic_folder(target) as partial:
        for path in _beside(pickled.parent, patterns):
            copy = partial / path.relative_to(pickled.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        save_file(tensors, partial / "model.safetensors", metadata={"format": "pt"})


def _beside(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and any(fnmatch(path.name, pattern) for pattern in patterns)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
