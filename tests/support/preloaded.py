"""A `python` that runs `-m dvc` and `-m stages.NAME` in a fork of a process that has imported the slow libraries.

Every DVC command, and every stage that it starts by `python -m stages.NAME`, would begin with seconds of imports. A
server imports the libraries once. A small script named `python`, first on the PATH, hands it a module's arguments,
folder, environment and output, passes signals on, and ends with its exit code. Anything else it hands to the real
interpreter.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from functools import cache
from pathlib import Path

LIBRARIES = (
    "datasets",
    "dvc.cli.parser",
    "dvc.repo.experiments.queue.celery",
    "matplotlib.figure",
    "networkx",
    "pyarrow.parquet",
    "pydantic.main",
    "scipy.stats",
    "sentence_transformers",
    "sklearn.feature_extraction.text",
)

CLIENT = """#!{python} -ISE
import json, os, signal, socket, sys
if sys.argv[1:2] != ["-m"] or not sys.argv[2].startswith(("dvc", "stages.", "tests.support.")):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
wanted = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(wanted).to_bytes(8, "big")], [1, 2])
server.sendall(wanted)
answers = server.makefile()
child = int(answers.readline())
for signum in (signal.SIGINT, signal.SIGTERM):
    signal.signal(signum, lambda signum, _: os.kill(child, signum))
code = int(answers.readline() or 1)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@cache
def python_folder() -> Path:
    """A folder with the script; the server starts with the first call, and ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="decant-python-"))
    address = str(folder / "socket")
    script = folder / "python"
    script.write_text(CLIENT.format(python=sys.executable, address=address))
    script.chmod(0o755)
    command = [sys.executable, str(Path(__file__)), address]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    atexit.register(server.kill)
    return folder


def serve(address: str) -> None:
    """Import the libraries, then fork for every module until standard input is closed."""
    for name in LIBRARIES:
        __import__(name)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes that wait for the modules
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _attend(connection)
        connection.close()


def _end_with_the_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _attend(connection: socket.socket) -> None:
    """Fork once more, and tell the client the module's process and its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, output, _, _ = socket.recv_fds(connection, 8, 2)
    content = b""
    while len(content) < int.from_bytes(size, "big"):
        content += connection.recv(1 << 16)
    arguments, folder, environment = json.loads(content)
    child = os.fork()
    if child == 0:
        connection.close()
        _run(arguments, folder, environment, output)
    connection.sendall(f"{child}\n".encode())
    threading.Thread(target=_end_with_the_client, args=(connection, child), daemon=True).start()
    _, status = os.waitpid(child, 0)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    connection.sendall(f"{code}\n".encode())
    os._exit(0)


def _end_with_the_client(connection: socket.socket, child: int) -> None:
    if not connection.recv(1):  # the client is gone: it was killed, or has its answer
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _run(arguments: list[str], folder: str, environment: dict[str, str], output: list[int]) -> None:
    import runpy

    for number, descriptor in enumerate(output, start=1):
        os.dup2(descriptor, number)
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder
    sys.path[1:1] = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.argv = ["-m", *arguments[1:]]
    code = 0
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
