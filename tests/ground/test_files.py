"""Files and folders are written whole or not at all."""

import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from decant.files import atomic_file, atomic_folder, read_json, sha256, write_json
from tests.support.project import ROOT


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


def start(folder: Path, script: str) -> subprocess.Popen[str]:
    """A process that runs a script in a folder."""
    head = "import sys, time\nfrom pathlib import Path\nfrom decant.files import atomic_file, atomic_folder, locked\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


HALF = """
with atomic_folder(Path("folder")) as folder, atomic_file(Path("file.txt")) as file:
    (folder / "half.txt").write_text("half")
    file.write_text("half")
    print("half", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    killed, living = start(tmp_path, HALF), start(tmp_path, HALF)
    for process in (killed, living):
        assert process.stdout.readline() == "half\n"
    assert len(names(tmp_path)) == 4
    killed.kill()
    killed.wait()
    elsewhere = [tmp_path / f".file.txt.{'0' * 8}-1-{n}{'0' * 7}.partial" for n in range(2)]  # of other machines
    for path in elsewhere:
        path.write_text("half")
    os.utime(elsewhere[1], (0, 0))
    others = [tmp_path / ".file.txt.partial", tmp_path / ".file.txt.a.partial", tmp_path / ".file.txt.txt.partial"]
    for path in others:
        path.write_text("of nobody")
    with atomic_folder(tmp_path / "folder") as folder, atomic_file(tmp_path / "file.txt") as file:
        assert names(folder) == []
        (folder / "whole.txt").write_text("whole")
        file.write_text("whole")
    left = [name for name in names(tmp_path) if f"-{living.pid}-" in name]
    assert len(left) == 2
    assert names(tmp_path) == sorted([*left, "file.txt", "folder", elsewhere[0].name, *(path.name for path in others)])
    living.communicate("")
    assert names(tmp_path / "folder") == ["half.txt"]
    assert (tmp_path / "file.txt").read_text() == "half"


MANY = """
name = sys.stdin.readline().strip()
for number in range(200):
    with atomic_folder(Path("folder")) as folder:
        for part in range(3):
            (folder / f"{part}.txt").write_text(name)
    with atomic_file(Path("file.txt")) as file:
        file.write_text(name * 1000)
"""


def test_processes_that_write_one_path_at_once_leave_what_one_of_them_wrote(tmp_path):
    processes = [start(tmp_path, MANY) for _ in range(4)]
    for number, process in enumerate(processes):
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
    mixed = 0
    while any(process.poll() is None for process in processes):
        with suppress(FileNotFoundError):  # between two names
            mixed += len(set((tmp_path / "file.txt").read_text())) > 1
    assert [process.wait() for process in processes] == [0] * 4
    assert not mixed
    assert names(tmp_path) == ["file.txt", "folder"]
    assert names(tmp_path / "folder") == ["0.txt", "1.txt", "2.txt"]
    assert len({path.read_text() for path in (tmp_path / "folder").iterdir()}) == 1


ONCE = """
with locked(Path("made")):
    if not Path("made").exists():
        with open("log", "a") as log:
            log.write("made\\n")
        time.sleep(0.3)
        Path("made").touch()
"""


def test_what_several_processes_may_make_is_made_once(tmp_path):
    processes = [start(tmp_path, ONCE) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert (tmp_path / "log").read_text() == "made\n"


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
