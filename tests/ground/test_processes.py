"""How a stage ends: what its user can mend is one message, what is our fault keeps its traceback."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from decant.errors import DecantError
from decant.processes import run_main
from stages import cli
from tests.support.project import ROOT


def ended(capsys: pytest.CaptureFixture[str], run: Callable[[], None]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as caught:
        run()
    return int(str(caught.value)), capsys.readouterr().err


def missing(path: str) -> Callable[[], None]:
    def main() -> None:
        Path(path).read_text()

    return main


def test_a_missing_input_is_told_with_the_command_that_makes_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ended(capsys, lambda: cli.run("train@embedding", missing("data/triplets/nothing.parquet")))
    assert code == 1
    assert "data/triplets/nothing.parquet is not there" in said
    assert "`dvc repro train@embedding`" in said
    assert "`dvc checkout train@embedding`" in said


def test_a_missing_file_that_no_stage_makes_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cli.run("train@embedding", missing(str(tmp_path / "of a library")))


def test_a_fault_that_the_user_can_mend_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise DecantError("it is broken", "mend it")

    assert ended(capsys, lambda: run_main("decant store", main)) == (1, "\ndecant store: it is broken\n  → mend it\n")


def test_a_command_that_succeeds_ends_with_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(capsys, lambda: run_main("decant store", lambda: None)) == (0, "")


class Refused(DecantError):
    """A kind of its own."""


def test_a_command_whose_output_nobody_reads_any_more_ends_without_a_word() -> None:
    command = "from decant.processes import run_main; run_main('list', lambda: print('line\\n' * 100_000))"
    ended = subprocess.run(
        ["/bin/bash", "-c", f'set -o pipefail; "{sys.executable}" -c "{command}" | head -1'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (141, "line\n", "")


def test_a_broken_pipe_to_elsewhere_keeps_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_main("list", main)


def test_an_error_that_crosses_to_another_process_keeps_its_kind() -> None:
    error = pickle.loads(pickle.dumps(Refused("too long", "shorten it")))
    assert type(error) is Refused
    assert (error.problem, error.remedy) == ("too long", "shorten it")
