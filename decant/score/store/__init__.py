"""The score store: teachers' scores by content, so that none is ever paid for twice.

<store>/locks/<teacher>.lock             held by the run that writes; the operating system frees it
<store>/<teacher>/teacher.json           the teacher's identity, and its reference in params
<store>/<teacher>/notes.json             what was found of the teacher: its self-test, its speed
<store>/<teacher>/pairs/<sha256>.parquet     key: binary(32), value: float32
<store>/<teacher>/texts/<sha256>.parquet     key: binary(16), value: the embedding; of bi-encoders alone
<store>/<teacher>/quarantine-<set's file>.jsonl  what the last run could not score, and why
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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


class Held:
    """What the store holds of one teacher, while its lock is held.

    Args:
        folder: of the teacher.
        tell: is called with what its user should know.
    """

    def __init__(self, folder: Path, tell: Tell) -> None:
        self.folder = folder
        for partial in folder.glob(".*.partial"):  # of a run that was killed
            partial.unlink()
        self.pairs = Shards(folder / "pairs", tell)
        self.texts = Shards(folder / "texts", tell)

    def note(self, kind: str, key: str, found: dict[str, Any]) -> None:
        """Keep what was found of the teacher: of this kind, under a key."""
        notes = _read(self.folder / NOTES)
        write_json(self.folder / NOTES, {**notes, kind: {**notes.get(kind, {}), key: found}})

    def noted(self, kind: str) -> dict[str, Any]:
        """What was kept by `note`, by key."""
        held: dict[str, Any] = _read(self.folder / NOTES).get(kind, {})
        return held


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
    """The teachers in a folder that several checkouts, and runs at once, may share.

    Args:
        folder: of the store; it need not be there.
        tell: is called with what its user should know.
    """

    def __init__(self, folder: Path, tell: Tell) -> None:
        self.folder, self.tell = folder, tell

    @contextmanager
    def open(self, identity: Mapping[str, Any], reference: str) -> Iterator[Held]:
        """What is held of a teacher, alone: another run on it waits until this one has ended.

        Args:
            identity: of the teacher, see `decant.score.store.identity`.
            reference: of the model in params, for those who read a list.
        """
        name = digest(identity)
        with self._locked(name):
            described = {"model": reference, "identity": dict(identity)}
            if _read(self.folder / name / "teacher.json") != described:
                write_json(self.folder / name / "teacher.json", described)
            yield Held(self.folder / name, self.tell)

    def near(self, identity: Mapping[str, Any], reference: str) -> tuple[Listed, dict[str, tuple[Any, Any]]] | None:
        """Of the same model's other teachers in the store the most like one, and in what they differ."""
        others = [
            (teacher, differences(teacher.identity, identity))
            for teacher in self.teachers()
            if teacher.reference == reference and teacher.pairs and teacher.identity != dict(identity)
        ]
        return min(others, key=lambda found: (len(found[1]), found[0].name), default=None)

    def teachers(self) -> list[Listed]:
        """All teachers, by name. Files are counted, not verified."""
        found = ((path.parent, _read(path)) for path in sorted(self.folder.glob("*/teacher.json")))
        return [self._listed(folder, described) for folder, described in found if described]

    def _listed(self, folder: Path, described: dict[str, Any]) -> Listed:
        pairs, texts = (Shards.count(folder / kind) for kind in ("pairs", "texts"))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return Listed(folder.name, described["model"], described["identity"], pairs, texts, size)

    def prune(self, wanted: str) -> list[Listed]:
        """Remove a teacher by its name, or all of a model by its reference.

        Raises:
            DecantError: there is none, or a run is using it; then nothing is removed.
        """
        found = [teacher for teacher in self.teachers() if wanted in (teacher.name, teacher.reference)]
        if not found:
            raise DecantError(f"{self.folder}: no teacher is named {wanted!r}", "`python -m stages.store` lists them")
        for teacher in found:
            with self._locked(teacher.name, wait=False):
                gone = self.folder / f".{teacher.name}.pruned"
                shutil.rmtree(gone, ignore_errors=True)  # of a prune that was killed
                (self.folder / teacher.name).rename(gone)
                shutil.rmtree(gone)
        return found

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


def _read(path: Path) -> dict[str, Any]:
    """A file's content; nothing where it is not there, or damaged: what is in it can be found out again."""
    try:
        held: dict[str, Any] = read_json(path)
    except (FileNotFoundError, ValueError):
        return {}
    return held
