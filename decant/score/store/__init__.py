"""The score store: teachers' scores by content, so that none is ever paid for twice.

<store>/locks/<teacher>.lock             held by the run that writes; the operating system frees it
<store>/<teacher>/teacher.json           the teacher's identity, and its reference in params
<store>/<teacher>/notes.json             its self-tests, and the machines that it has run on
<store>/<teacher>/pairs/<sha256>.parquet     key: binary(32), value: float32
<store>/<teacher>/texts/<sha256>.parquet     key: binary(16), value: the embedding; of bi-encoders alone
<store>/<teacher>/quarantine-<track>.jsonl   what the last run could not score, and why
<store>/quarantine-<track>.jsonl         what of an ensemble one teacher or another could not score, and why
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from decant.errors import DecantError
from decant.files import read_json, write_json
from decant.score.store.identity import differences, digest
from decant.score.store.shards import Shards

Tell = Callable[[str], None]
NOTES = "notes.json"


class StoredTeacher:
    """What the store has of one teacher; without `writes`, for which the teacher's lock is held, nothing is changed."""

    def __init__(self, folder: Path, tell: Tell, *, writes: bool = True) -> None:
        self.folder = folder
        for partial in folder.glob(".*.partial") if writes else ():  # of a run that was killed
            partial.unlink()
        self.pairs = Shards(folder / "pairs", tell, writes=writes)
        self.texts = Shards(folder / "texts", tell, writes=writes)

    def note(self, kind: str, key: str, content: dict[str, Any]) -> None:
        """Keep what was found out about the teacher: of this kind, under a key."""
        notes = _read(self.folder / NOTES)
        write_json(self.folder / NOTES, {**notes, kind: {**notes.get(kind, {}), key: content}})


@dataclass(frozen=True)
class Listed:
    """One teacher in the store, as a list shows it."""

    name: str
    reference: str
    identity: dict[str, Any]
    pairs: int
    texts: int
    bytes: int


class Store:
    """The teachers in a folder that several checkouts, and runs at once, may share; it need not be there."""

    def __init__(self, folder: Path, tell: Tell) -> None:
        self.folder, self.tell = folder, tell

    @contextmanager
    def open(self, identity: Mapping[str, Any], reference: str) -> Iterator[StoredTeacher]:
        """What is stored of a teacher, to read and to write: another run on it waits until this one has ended."""
        name = digest(identity)
        with self._locked(name):
            described = {"model": reference, "identity": dict(identity)}
            if _read(self.folder / name / "teacher.json") != described:
                write_json(self.folder / name / "teacher.json", described)
            yield StoredTeacher(self.folder / name, self.tell)

    def read(self, identity: Mapping[str, Any]) -> StoredTeacher:
        """What is stored of a teacher, to read alone: nothing is locked or changed."""
        return StoredTeacher(self.folder / digest(identity), self.tell, writes=False)

    def near(self, identity: Mapping[str, Any], reference: str) -> tuple[Listed, dict[str, tuple[Any, Any]]] | None:
        """Of the same model's other teachers in the store the most like one, and in what they differ."""
        others = [
            (teacher, differences(teacher.identity, identity))
            for teacher in self.teachers()
            if teacher.reference == reference and teacher.pairs and teacher.identity != dict(identity)
        ]
        return min(others, key=lambda other: (len(other[1]), other[0].name), default=None)

    def teachers(self) -> list[Listed]:
        """All teachers, by name. Files are counted, not verified, and others may write or remove them meanwhile."""
        described = ((path.parent, _read(path)) for path in sorted(self.folder.glob("[!.]*/teacher.json")))
        return [_listed(folder, content) for folder, content in described if content]

    def prune(self, wanted: str) -> list[Listed]:
        """Remove a teacher by its name, or all of a model by its reference.

        Raises:
            DecantError: there is none, or a run is using it; then nothing is removed.
        """
        for left in self.folder.glob(".*.pruned"):  # of a prune that was killed
            shutil.rmtree(left, ignore_errors=True)
        teachers = [teacher for teacher in self.teachers() if wanted in (teacher.name, teacher.reference)]
        if not teachers:
            raise DecantError(f"{self.folder}: no teacher is named {wanted!r}", "`decant store` lists them")
        with ExitStack() as locks:
            for teacher in teachers:
                locks.enter_context(self._locked(teacher.name, wait=False))
            for teacher in teachers:
                gone = self.folder / f".{teacher.name}.pruned"
                (self.folder / teacher.name).rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
        return teachers

    @contextmanager
    def _locked(self, name: str, wait: bool = True) -> Iterator[None]:
        path = self.folder / "locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise DecantError(f"{path}: a run is using this teacher's scores", "wait until it has ended") from None
            self.tell("another run is scoring with this teacher: waiting until it has ended")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def read_notes(folder: Path, kind: str) -> dict[str, Any]:
    """What is noted of the teacher in a folder of the store: of this kind, by key."""
    return dict(_read(folder / NOTES).get(kind, {}))


def _listed(folder: Path, described: dict[str, Any]) -> Listed:
    pairs, texts = (Shards.count(folder / kind) for kind in ("pairs", "texts"))
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(parent, name).stat().st_size
    return Listed(folder.name, described["model"], described["identity"], pairs, texts, size)


def _read(path: Path) -> dict[str, Any]:
    """A file's content; nothing where it is not there, or damaged: what is in it can be found out again."""
    try:
        return dict(read_json(path))
    except (FileNotFoundError, ValueError):
        return {}
