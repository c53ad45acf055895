"""Writing whole files and folders or nothing, and reading their checksums."""

import errno
import glob
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

STALE = 7 * 24 * 60 * 60  # seconds, longer than a stage runs


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it to `path` on success, remove it on any failure.

    Several processes may write one file at once: each writes under a name of its own, and the last one's is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` to fill; it takes `path`'s place as a file does in `atomic_file`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, old = _partial(path), _partial(path)
    partial.mkdir()
    try:
        yield partial
        while partial.exists():
            with suppress(FileNotFoundError):  # there is none, or another process moved it first
                path.rename(old)  # before it is removed, so that a kill in between loses neither
            _rename(partial, path)
            if partial.exists():
                shutil.rmtree(old, ignore_errors=True)
    finally:
        if old.exists() and not path.exists():
            _rename(old, path)
        for folder in (partial, old):
            shutil.rmtree(folder, ignore_errors=True)


def _rename(folder: Path, path: Path) -> None:
    """Rename a folder, unless another process has put its own at `path`."""
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of what several processes may make at `path`; who gets it must look whether it was made meanwhile.

    The lock's file stays beside `path`: to remove it would let two processes in.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


def _partial(path: Path) -> Path:
    """A name beside `path` that no other writer uses. What killed writers left of `path` is removed."""
    machine = _machine()
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        writer = re.fullmatch(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.partial", left.name[len(path.name) + 1 :])
        if writer and _is_left(left, int(writer[2]) if writer[1] == machine else None):
            shutil.rmtree(left, ignore_errors=True)
            with suppress(OSError):
                left.unlink()
    return path.with_name(f".{path.name}.{machine}-{os.getpid()}-{secrets.token_hex(4)}.partial")


def _is_left(partial: Path, process: int | None) -> bool:
    """Whether the process that wrote a partial file has ended or, on another machine, most likely has."""
    with suppress(FileNotFoundError, PermissionError):  # it has just been finished; the process is another user's
        try:
            if process is None:
                return time.time() - partial.stat().st_mtime > STALE
            os.kill(process, 0)
        except ProcessLookupError:
            return True
    return False


def _machine() -> str:
    """A name of where process ids are unique: this machine or, on Linux, this container of it."""
    namespace = Path("/proc/self/ns/pid")
    inside = namespace.readlink() if namespace.is_symlink() else ""
    return hashlib.sha256(f"{platform.node()} {inside}".encode()).hexdigest()[:8]


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, whole or not at all. NaN and infinity are refused."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def user_cache() -> Path:
    """The folder for what Decant keeps between checkouts: `decant` in XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "decant"
