"""Processes: several that do one thing at once, and the command `decant` of this tree, installed or not."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def at_once(imports: str, script: str, variables: dict[str, str], count: int) -> list[list[str]]:
    """Run a script in several processes that begin it together, after their imports; the lines that each printed."""
    command = [sys.executable, "-c", f"{imports}\nprint('ready', flush=True)\ninput()\n{script}"]
    processes = [
        subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * count
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate()[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return outputs


def decant(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `decant` in a folder, with the code of this tree; as the installed command, it does not import from there."""
    return subprocess.run(
        [sys.executable, "-P", "-c", "from decant.commands import app; app()", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
    )
