"""Run `python -m stages.NAME`, `python FILE` or `python -c CODE` as a process that finds the slow imports done.

A server imports the libraries once and forks for every run: a process with its own session, working folder, environment
and output, which can be killed as any other, without the seconds of imports that each would begin with.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["datasets", "pyarrow.parquet", "scipy.stats", "sentence_transformers"])


class Run:
    """What `subprocess.Popen` offers of a process, as far as tests need it; stdout and stderr together are its output.

    Args:
        command: what stands after `python`.
        folder: that it works in.
        environment: all of it. Libraries that read theirs as they are imported have seen the server's.
    """

    def __init__(self, *command: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._output = tempfile.NamedTemporaryFile(mode="r", suffix=".out")  # noqa: SIM115 - it lives as long as this
        arguments = (self._output.name, command, str(folder), dict(environment))
        self._process: ForkServerProcess = SERVER.Process(target=_run, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"process {self.pid} goes on after {timeout} seconds:\n{self._output.read()}")
        return self._output.read(), None


def _run(output: str, command: tuple[str, ...], folder: str, environment: dict[str, str]) -> None:
    os.setsid()
    with Path(output).open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = list(command)
    if command[0] == "-m":
        del sys.argv[0]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    elif command[0] == "-c":
        del sys.argv[1]
        exec(command[1], {"__name__": "__main__"})
    else:
        runpy.run_path(command[0], run_name="__main__")
