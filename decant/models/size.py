"""Size of a model."""

import math
from pathlib import Path

from safetensors import safe_open

from decant.files import read_json


def model_size(folder: Path) -> dict[str, int]:
    """Parameters and bytes of the safetensors in a model's folder and its modules', read from their headers."""
    listed = folder / "modules.json"  # of sentence-transformers: a Dense has weights of its own
    modules = {module["path"] for module in read_json(listed)} if listed.is_file() else set()
    parameters = size = 0
    for path in sorted(path for part in modules | {""} for path in (folder / part).glob("*.safetensors")):
        size += path.stat().st_size
        with safe_open(path, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (no iterator)
                tensor = tensors.get_slice(name)
                if "F" in tensor.get_dtype():  # F32, BF16, F8_E4M3; integers are positions and other buffers
                    parameters += math.prod(tensor.get_shape())
    return {"parameters": parameters, "bytes": size}
