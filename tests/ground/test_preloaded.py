"""A module that runs in a fork behaves as one that the interpreter starts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from decant import preloaded
from decant.preloaded import STAGES, preloaded_python

SAYS = """
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ.get("WORD"), os.getppid(), file=sys.stderr)
import decant
print(decant.__file__)
sys.exit(int(sys.argv[1]))
"""
WAITS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A PATH whose `python` forks, in a folder with modules and a `decant` of its own."""
    for name, content in (("stages/says.py", SAYS), ("stages/waits.py", WAITS), ("decant/__init__.py", "")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    with preloaded_python(STAGES, ("json",)) as path:
        yield path


def started(path: str, *command: str, **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PATH": path, **more}
    pipe = subprocess.PIPE
    return subprocess.Popen(["python", *command], env=environment, stdout=pipe, stderr=pipe, text=True)


def gone(pid: int) -> bool:
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.05)
    return False


def test_it_gets_arguments_folder_environment_and_exit_code(path: str, tmp_path: Path) -> None:
    process = started(path, "-m", "stages.says", "3", "two words", WORD="größer")
    output, errors = process.communicate()
    assert process.returncode == 3
    assert errors.startswith(f"['3', 'two words'] {tmp_path} größer ")
    assert int(errors.split()[-1]) != process.pid  # a fork of the server's, and no child of the script
    assert Path(output.strip()) == tmp_path / "decant/__init__.py"


def test_the_interpreter_may_lie_in_a_folder_with_a_space(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a space").symlink_to(Path(sys.executable).parent)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "a space/python"))
    monkeypatch.setenv("PATH", path.partition(os.pathsep)[2])
    with preloaded_python(STAGES, ()) as spaced:
        assert started(spaced, "-m", "stages.says", "3").wait() == 3
        assert started(spaced, "-c", "raise SystemExit(4)").wait() == 4


def test_what_is_no_stage_runs_in_the_interpreter(path: str) -> None:
    process = started(path, "-c", "import os, sys; print(os.getpid(), sys.executable)")
    assert process.communicate()[0].split() == [str(process.pid), sys.executable]


def test_a_traceback_is_shown(path: str) -> None:
    process = started(path, "-m", "stages.says", "no number")
    assert "ValueError: invalid literal" in process.communicate()[1]
    assert process.returncode == 1


def test_a_signal_reaches_it(path: str) -> None:
    process = started(path, "-m", "stages.waits")
    assert process.stdout is not None
    module = int(process.stdout.readline())
    process.terminate()
    assert process.wait() == 7
    assert gone(module)


def test_it_ends_as_it_was_killed(path: str) -> None:
    process = started(path, "-m", "stages.waits")
    assert process.stdout is not None
    os.kill(int(process.stdout.readline()), signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_it_dies_with_the_script(path: str) -> None:
    process = started(path, "-m", "stages.waits")
    assert process.stdout is not None
    module = int(process.stdout.readline())
    process.kill()
    assert gone(module)


def test_it_goes_on_when_the_server_ends_and_the_next_one_runs_in_the_interpreter(path: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as context:
        context.setenv("PATH", path.partition(os.pathsep)[2])
        with preloaded_python(STAGES, ()) as ended:
            script = Path(ended.split(os.pathsep)[0], "python").read_text()
            first = started(ended, "-m", "stages.waits")
            assert first.stdout is not None
            module = int(first.stdout.readline())
    kept = tmp_path / "python"  # as after a kill, which leaves the folder
    kept.write_text(script)
    kept.chmod(0o755)
    second = started(f"{tmp_path}{os.pathsep}{path}", "-m", "stages.waits")
    assert second.stdout is not None
    assert int(second.stdout.readline()) == second.pid
    second.kill()
    os.kill(module, signal.SIGTERM)
    assert first.wait() == 7


def test_within_another_it_is_that_one(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path)
    with preloaded_python(STAGES, ()) as inner:
        assert inner == path


def test_where_the_address_would_be_too_long_there_are_no_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloaded.tempfile, "gettempdir", lambda: f"/{'x' * 80}")
    monkeypatch.setenv("PATH", "/usr/bin")
    with preloaded_python(STAGES, ()) as path:
        assert path == f"{Path(sys.executable).parent}{os.pathsep}/usr/bin"


def test_beside_a_gpu_there_are_no_forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloaded, "GPU", tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin")
    with preloaded_python(STAGES, ()) as path:
        assert path == f"{Path(sys.executable).parent}{os.pathsep}/usr/bin"
