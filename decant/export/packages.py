"""The packages that formats need: an extra of the project."""

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType

from decant.errors import DecantError
from decant.export.settings import Format

# OpenVINO tells its makers who imports and converts what, unasked; without this module it does not.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def needed(formats: Iterable[Format]) -> list[str]:
    """The packages of formats: all are made of the ONNX graph."""
    openvino = any(name.startswith("openvino") for name in formats)
    return ["onnx", "onnxscript", "onnxruntime", *(["openvino"] if openvino else [])]


def load(package: str) -> ModuleType:
    """Import one of them.

    Raises:
        DecantError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise DecantError(
            f"`export` needs {package}, which is not installed", "run `pip install '.[export]'`"
        ) from error
