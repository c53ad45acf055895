"""`decant report`: the comparison that was written last, and how long the stages took."""

import json
from pathlib import Path

import pytest

from decant.commands import report as command
from decant.progress import DURATIONS, durations, note_duration


def run(capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The command's exit code, and what it prints."""
    with pytest.raises(SystemExit) as ended:
        command.report()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out + printed.err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / DURATIONS.parent).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_prints_the_table_the_longest_stages_first_and_where_the_report_lies(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "report").mkdir()
    (folder / "report/table.md").write_text("| track |\n")
    for stage, seconds in (("fetch@a", 9.0), ("train@a", 12.0), ("train@a", 75.4), ("report", 3.0)):
        with DURATIONS.open("a") as file:
            file.write(json.dumps({"stage": stage, "seconds": seconds}) + "\n")
    code, printed = run(capsys)
    assert code == 0
    assert printed.startswith("| track |\n\nStages, as they ran last here: 1 min 27 s in all\n")
    lines = [line.split(maxsplit=1) for line in printed.splitlines() if line.startswith("  ")]
    assert lines == [["train@a", "1 min 15 s"], ["fetch@a", "9 s"], ["report", "3 s"]]
    assert f"Report: {folder / 'report/index.html'}\n" in printed
    assert "Next: open the report in a browser." in printed


def test_without_a_run_it_says_how_to_make_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = run(capsys)
    assert code == 1
    assert "report/table.md is not there" in printed
    assert "`dvc repro`" in printed


def test_a_duration_is_of_the_whole_process_and_needs_a_dvc_folder(folder: Path) -> None:
    note_duration("train@a")
    assert durations()["train@a"] > 0
    with DURATIONS.open("a") as file:
        file.write('{"stage": "sco')  # by a process that was killed
    assert list(durations()) == ["train@a"]
    DURATIONS.unlink()
    DURATIONS.parent.rmdir()
    note_duration("train@a")
    assert durations() == {}
