"""Size of a model."""

import math
from pathlib import Path

from safetensors import safe_open


def model_size(folder: Path) -> dict[str, int]:
    """Parameters and bytes of the safetensors in a model's folder, read from their headers."""
    parameters = size = 0
    for path in sorted(folder.glob("*.safetensors")):
        size += path.stat().st_size
        with safe_open(path, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (no iterator)
                tensor = tensors.get_slice(name)
                if "F" in tensor.get_dtype():  # F32, BF16, F8_E4M3; integers are positions and other buffers
                    parameters += math.prod(tensor.get_shape())
    return {"parameters": parameters, "bytes": size}
