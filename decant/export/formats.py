"""The formats that a student is exported to. Another one is another entry of `FORMATS`, and its name in `Format`."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from decant.export.packages import load
from decant.export.settings import Format

Tokens: TypeAlias = Mapping[str, npt.NDArray[np.int64]]
Run: TypeAlias = Callable[[Tokens], npt.NDArray[np.float32]]
LARGE = 1 << 30  # bytes of a graph that does not fit into one file: protobuf ends at 2 GB, before and after rounding


@dataclass(frozen=True)
class Runtime:
    """A format and what runs it.

    Args:
        file: the main one, below the student's folder; others may lie beside it, and none of another format.
        exact: whether it computes in float32, so that its scores are the student's.
        write: makes the file from the ONNX graph.
        open: the function from tokens to outputs; it takes those that the graph asks for.
    """

    file: str
    exact: bool
    write: Callable[[Path, Path], None]
    open: Callable[[Path], Run]


def _copy(graph: Path, path: Path) -> None:
    for part in graph.parent.glob(f"{graph.name}*"):  # weights may lie in a second file
        shutil.copy2(part, path.parent / part.name)


def _rounded(graph: Path) -> Path:
    """The graph in int8, beside it: rounded once for all formats that are made of it."""
    path = graph.with_name("model_int8.onnx")
    if not path.exists():
        quantization: Any = load("onnxruntime.quantization")
        size = sum(part.stat().st_size for part in graph.parent.glob(f"{graph.name}*"))
        quantization.quantize_dynamic(
            graph,
            path,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # 7 bits: the products of 8 overflow where a CPU has no VNNI
            use_external_data_format=size > LARGE,
            extra_options={"MatMulConstBOnly": True},
        )
    return path


def _write_int8(graph: Path, path: Path) -> None:
    _copy(_rounded(graph), path)


def _write_openvino(graph: Path, path: Path) -> None:
    openvino: Any = load("openvino")
    openvino.save_model(openvino.Core().read_model(graph), path, compress_to_fp16=False)


def _write_openvino_int8(graph: Path, path: Path) -> None:
    _write_openvino(_rounded(graph), path)  # it reads what rounding puts into an ONNX graph


def _open_onnx(path: Path) -> Run:
    onnxruntime: Any = load("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(tokens: Tokens) -> npt.NDArray[np.float32]:
        outputs: npt.NDArray[np.float32] = session.run(None, {name: tokens[name] for name in names})[0]
        return outputs

    return run


def _open_openvino(path: Path) -> Run:
    openvino: Any = load("openvino")
    # Left to itself OpenVINO computes in half precision where the CPU does.
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", hints)
    names = [each.get_any_name() for each in compiled.inputs]

    def run(tokens: Tokens) -> npt.NDArray[np.float32]:
        return np.array(compiled({name: tokens[name] for name in names})[0])  # a copy: the next call writes there

    return run


FORMATS: dict[Format, Runtime] = {
    "onnx": Runtime("onnx/model.onnx", True, _copy, _open_onnx),
    "onnx_int8": Runtime("onnx/model_int8.onnx", False, _write_int8, _open_onnx),
    "openvino": Runtime("openvino/openvino_model.xml", True, _write_openvino, _open_openvino),
    "openvino_int8": Runtime("openvino/openvino_model_int8.xml", False, _write_openvino_int8, _open_openvino),
}
