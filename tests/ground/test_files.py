"""Files and folders are written whole or not at all."""

import hashlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from decant.files import atomic_file, atomic_folder, read_json, sha256, write_json


class Fault(Exception):
    pass


def fail_halfway(write: Callable[[Path], AbstractContextManager[Path]], path: Path, fault: type[BaseException]) -> None:
    """Begin to write a file or a folder, and fail."""
    with write(path) as partial:
        (partial / "half.txt" if partial.is_dir() else partial).write_text("half")
        raise fault


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    with atomic_file(tmp_path / "new" / "file.txt") as partial:
        partial.write_text("half")
        assert not (tmp_path / "new" / "file.txt").exists()
        partial.write_text("whole")
    assert (tmp_path / "new" / "file.txt").read_text() == "whole"
    assert names(tmp_path / "new") == ["file.txt"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault,  # the stage's own fault
        KeyboardInterrupt,  # Ctrl-C
        SystemExit,  # what ends a process in good order
    ],
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, fault):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(fault):
        fail_halfway(atomic_file, path, fault)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_failed_first_write_leaves_no_file(tmp_path):
    with pytest.raises(Fault):
        fail_halfway(atomic_file, tmp_path / "file.txt", Fault)
    assert names(tmp_path) == []


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "stale.txt").write_text("old")
    with atomic_folder(path) as partial:
        assert names(partial) == []
        (partial / "fresh.txt").write_text("new")
        assert names(path) == ["stale.txt"]
    assert names(path) == ["fresh.txt"]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("fault", [Fault, KeyboardInterrupt, SystemExit])
def test_a_failed_folder_leaves_the_old_one_and_nothing_else(tmp_path, fault):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old.txt").write_text("old")
    with pytest.raises(fault):
        fail_halfway(atomic_folder, path, fault)
    assert names(tmp_path) == ["folder"]
    assert names(path) == ["old.txt"]
    assert (path / "old.txt").read_text() == "old"


def test_what_a_killed_run_left_behind_does_not_get_into_the_next_folder(tmp_path):
    with atomic_folder(tmp_path / "folder") as partial:
        leftover = partial
    leftover.mkdir()
    (leftover / "half.txt").write_text("of a run that was killed")
    with atomic_folder(tmp_path / "folder") as partial:
        (partial / "whole.txt").write_text("whole")
    assert names(tmp_path / "folder") == ["whole.txt"]
    assert names(tmp_path) == ["folder"]


def test_json_is_written_for_people_and_read_back(tmp_path):
    content = {"name": "né", "values": [1, 0.5, None]}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "né" in text
    assert text.endswith("}\n")
    assert read_json(tmp_path / "a.json") == content


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_is_no_number_and_keeps_the_old_file(tmp_path, value):
    path = tmp_path / "metrics.json"
    write_json(path, {"map": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"map": {"in_domain": value}})
    assert read_json(path) == {"map": 0.5}
    assert names(tmp_path) == ["metrics.json"]


@pytest.mark.parametrize("write", [atomic_file, atomic_folder])
def test_two_writes_of_one_path_end_with_the_second(tmp_path, write: Callable):
    for text in ("first", "second"):
        with write(tmp_path / "out") as partial:
            (partial / "a.txt" if partial.is_dir() else partial).write_text(text)
    written = tmp_path / "out"
    assert (written / "a.txt" if written.is_dir() else written).read_text() == "second"


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\x00\xff" * 100_000)
    assert sha256(tmp_path / "a.bin") == hashlib.sha256(b"\x00\xff" * 100_000).hexdigest()
