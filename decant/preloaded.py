"""A `python` that runs modules in forks of a process that has imported the slow libraries.

DVC starts every stage by `python -m stages.NAME`, and each would begin with seconds of imports. A server imports the
libraries once. A small script named `python`, first on the PATH, hands it a module's arguments, folder, environment and
output, passes signals on, and ends with the module's exit code. Anything else it hands to the real interpreter, and so
it does where the server is gone.
"""

import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

STAGES = ("stages.",)
LIBRARIES = (
    "datasets",
    "matplotlib.figure",
    "pyarrow.parquet",
    "pydantic.main",
    "scipy.stats",
    "sentence_transformers",
    "sklearn.feature_extraction.text",
)
PREFIX = "decant-python-"  # of the script's folder
GPU = Path("/dev/nvidiactl")  # CUDA does not go on in a fork of a process that has looked at it
LONGEST = 60  # of the folder for temporary files; the system takes 107 bytes as a socket's address

# It imports nothing but what starts in a few milliseconds.
CLIENT = """
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
if sys.argv[1:2] != ["-m"] or not sys.argv[2].startswith({modules!r}):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
signals = (signal.SIGINT, signal.SIGTERM)
signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # until there is somebody to pass them on to
wanted = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
try:
    server.connect({address!r})
    socket.send_fds(server, [len(wanted).to_bytes(8, "big")], [1, 2])
    server.sendall(wanted)
    answers = server.makefile()
    child = int(answers.readline())
except (OSError, ValueError):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
for signum in signals:
    signal.signal(signum, lambda signum, _: os.kill(child, signum))
signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
code = int(answers.readline() or 1)
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@contextlib.contextmanager
def preloaded_python(modules: Sequence[str], libraries: Sequence[str]) -> Iterator[str]:
    """A PATH whose first `python` runs modules in forks; the server ends with this context, or with this process.

    This interpreter's own is the first where forks do not serve: beside a GPU, on a system other than Linux,
    or where temporary files lie too deep. Within another such context it is that one's.

    Args:
        modules: what the names of the modules begin with.
        libraries: that the server imports.
    """
    path = os.environ["PATH"]
    first = Path(path.split(os.pathsep)[0])
    if first.name.startswith(PREFIX) and first.exists():
        yield path
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    if sys.platform != "linux" or GPU.exists() or len(tempfile.gettempdir()) > LONGEST:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, socket.socket(socket.AF_UNIX) as listener:
        address = str(Path(folder) / "socket")
        listener.bind(address)
        listener.listen(64)  # a module that comes before the libraries are there waits
        script = Path(folder) / "python"
        code = CLIENT.format(python=sys.executable, address=address, modules=tuple(modules))
        # By a shell, since an interpreter's path with a space cannot stand in a script's first line.
        script.write_text(f'#!/bin/sh\nexec {quote(sys.executable)} -ISE -c {quote(code)} "$@"\n')
        script.chmod(0o755)
        # As a file: its forks import the `decant` of the folder that they work in, which may be another copy.
        command = [sys.executable, "-P", __file__, str(listener.fileno()), *libraries]
        # In a session of its own, which Ctrl-C does not reach: that is the stages' affair.
        server = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], start_new_session=True)
        listener.close()
        try:
            yield f"{folder}{os.pathsep}{path}"
        finally:
            server.kill()
            server.wait()


def serve(listener: socket.socket, libraries: Sequence[str]) -> None:
    """Import the libraries, then fork for every module until standard input is closed."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    for name in libraries:
        __import__(name)
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
    content = connection.makefile("rb").read(int.from_bytes(size, "big"))
    if len(content) < int.from_bytes(size, "big"):  # the client is gone
        os._exit(1)
    arguments, folder, environment = json.loads(content)
    child = os.fork()
    if child == 0:
        connection.close()
        _run(arguments, folder, environment, output)
    connection.sendall(f"{child}\n".encode())
    threading.Thread(target=_end_with_the_client, args=(connection, child), daemon=True).start()
    _, status = os.waitpid(child, 0)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    with contextlib.suppress(OSError):  # the client is gone
        connection.sendall(f"{code}\n".encode())
    os._exit(0)


def _end_with_the_client(connection: socket.socket, child: int) -> None:
    if not connection.recv(1):  # the client is gone: it was killed, or has its answer
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def _run(arguments: list[str], folder: str, environment: dict[str, str], output: list[int]) -> None:
    for number, descriptor in enumerate(output, start=1):
        os.dup2(descriptor, number)
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = ["-m", *arguments[1:]]
    code = 0
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
