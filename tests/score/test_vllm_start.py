"""A start of vLLM that fails ends in one message with the remedy; what is no known want keeps its traceback."""

from pathlib import Path

import pytest

from decant.score.engines.vllm import start_failure

FOLDER = Path("models/teacher")


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "problem", "remedy"),
    [
        pytest.param(
            ImportError("FlashInfer backend is not available. Please install flashinfer-python."),
            "ImportError: FlashInfer backend",
            "pip install flashinfer-python",
            id="no-flashinfer",
        ),
        pytest.param(
            RuntimeError("Failed to find C compiler. Please specify via CC environment variable."),
            "RuntimeError: Failed to find C compiler",
            "TORCH_COMPILE_DISABLE=1",
            id="no-compiler",
        ),
        pytest.param(
            ValueError("Free memory on device (3.1/79.2 GiB) on startup is less than desired GPU memory utilization"),
            "ValueError: Free memory on device",
            "lower teacher.max_length",
            id="no-memory",
        ),
        pytest.param(
            ValueError("No available memory for the cache blocks."),
            "cache blocks",
            "end what else uses",
            id="no-blocks",
        ),
        pytest.param(
            raised(RuntimeError("Engine core initialization failed."), ImportError("No module named 'flashinfer'")),
            "ImportError: No module named 'flashinfer'",
            "pip install flashinfer-python",
            id="the-cause-counts",
        ),
        pytest.param(ValueError("strange"), "ValueError: strange", "VLLM_LOGGING_LEVEL=INFO", id="another-value"),
    ],
)
def test_a_start_that_fails_names_the_remedy(error: Exception, problem: str, remedy: str) -> None:
    known = start_failure(error, FOLDER)
    assert known is not None
    assert f"vLLM cannot start with {FOLDER}" in known.problem
    assert problem in known.problem
    assert remedy in known.remedy
    assert "\n" not in known.problem


def test_a_fault_of_ours_is_no_failure_to_start() -> None:
    assert start_failure(TypeError("unexpected keyword argument"), FOLDER) is None
