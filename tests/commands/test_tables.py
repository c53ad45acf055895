"""Tables: drawn in colour on a terminal, as Markdown in a pipe and in CI."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from decant.commands.tables import show
from tests.support.project import ROOT

TEXT = """Two sets:

| test set | MAP | change | p |
| --- | --- | --- | --- |
| icd10, in-domain | 0.7091 | +0.1652 (+0.1453 … +0.1852) | ≤ 0.0024 |
| pydocs | 0.9193 | -0.0052 (-0.0141 … -0.0034) | 0.0424 |
| cwe | – | +0.0052 (-0.0034 … +0.0141) | 0.5424 |

- a note with [brackets] and 12 figures
"""
PROGRAM = "import sys; from decant.commands.tables import show; show(sys.stdin.read())"


def shown(**options: object) -> str:
    file = io.StringIO()
    show(TEXT, Console(file=file, width=100, highlight=False, **options))  # type: ignore[arg-type]
    return file.getvalue()


def test_a_terminal_gets_columns_and_colours_for_what_an_interval_tells_from_0(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    drawn = shown(force_terminal=True, color_system="standard")
    assert "\x1b[32m+0.1652 (+0.1453 … +0.1852)" in drawn
    assert "\x1b[31m-0.0052 (-0.0141 … -0.0034)" in drawn
    assert drawn.count("\x1b[32m") == drawn.count("\x1b[31m") == 1
    assert "| ---" not in drawn
    assert "- a note with [brackets] and 12 figures" in drawn
    lines = [
        line for line in shown(force_terminal=True, no_color=True).splitlines() if "icd10" in line or "cwe" in line
    ]
    assert [line.index("(") for line in lines] == [lines[0].index("(")] * 2  # in columns


def test_a_table_that_is_wider_than_the_terminal_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    summary = (ROOT / "README.md").read_text(encoding="utf-8").split("\n\n")
    table = next(block for block in summary if block.startswith("| track | test set"))
    for width, kept in ((80, True), (200, False)):
        file = io.StringIO()
        show(table, Console(file=file, width=width, highlight=False, force_terminal=True, no_color=True))
        assert ("| --- |" in file.getvalue()) == kept
        assert "…" not in file.getvalue().replace(" … ", "")
        assert "0.4428" in file.getvalue()


def test_a_pipe_and_ci_get_the_markdown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(force_terminal=False) == f"{TEXT}\n"
    monkeypatch.setenv("CI", "true")
    assert shown(force_terminal=True) == f"{TEXT}\n"


def test_a_real_terminal_is_told_from_a_pipe(tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    variables |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "COLUMNS": "100", "PYTHONUTF8": "1"}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", PROGRAM]
    piped = subprocess.run(command, input=TEXT, capture_output=True, encoding="utf-8", env=variables, check=True)
    assert piped.stdout == f"{TEXT}\n"
    subprocess.run(command, input=TEXT.encode(), stdout=theirs, env=variables, check=True)
    os.close(theirs)
    assert b"\x1b[32m" in os.read(ours, 65536)
    os.close(ours)
