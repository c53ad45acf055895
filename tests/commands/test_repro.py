"""`decant repro` is `dvc repro`, with its arguments, its exit code and its way to end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STAGE = """
import os, pathlib, sys, time
print("the script is", os.getppid(), flush=True)
if pathlib.Path("hold").exists():
    try:
        pathlib.Path("began").touch()
        time.sleep(60)
    except KeyboardInterrupt:
        pathlib.Path("interrupted").touch()
        raise
sys.exit(pathlib.Path("fails").exists())
"""
PIPELINE = """
stages:
  one:
    cmd: python -m stages.one
    deps: [stages/one.py]
  two:
    cmd: echo two
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/one.py").write_text(STAGE)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], check=True)
    return tmp_path


def repro(*arguments: str) -> subprocess.Popen[str]:
    command = "from decant.commands import app, repro; repro.LIBRARIES = (); app()"
    return subprocess.Popen(
        [sys.executable, "-c", command, "repro", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_targets_and_options_reach_dvc(project: Path) -> None:
    output = repro("one", "--force", "--no-commit").communicate()[0]
    assert "Running stage 'one'" in output
    assert "two" not in output


def test_a_stage_that_fails_fails_it(project: Path) -> None:
    (project / "fails").touch()
    process = repro("one")
    assert "failed to reproduce 'one'" in process.communicate()[0]
    assert process.returncode == 255


def test_ctrl_c_ends_the_stage_and_then_dvc(project: Path) -> None:
    (project / "hold").touch()
    process = repro("one")
    while not (project / "began").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode not in (0, None)
    assert (project / "interrupted").exists()
