"""Processes that do one thing at once."""

import subprocess
import sys


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
