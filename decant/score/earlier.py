"""A track's scores of an earlier revision, from DVC's cache or from the remote that they are shared through.

Before `dvc repro` runs a stage it removes the stage's outputs; dvc.lock goes on naming what they were until the stage
has ended. DVC's own commands cannot fetch them then (the stage that runs holds the lock on its outputs), so this reads
single objects by their MD5, takes no lock, and writes nothing to the cache.
"""

import errno
import hashlib
import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from decant import paths
from decant.errors import DecantError
from decant.files import atomic_folder

LOCK = Path("dvc.lock")
# Errors of the clients' libraries, which need not be installed; beside PermissionError and DVC's AuthError.
CREDENTIALS = ("Credential", "ProfileNotFound", "PermissionDenied", "KeyImportError", "KeyEncryptionError", "SSOToken")


@dataclass(frozen=True)
class Earlier:
    """What came of looking for a track's earlier scores.

    Args:
        found: whether the folder holds them now.
        teacher: the teacher's block of params that dvc.lock records beside them; None where it records no scores.
        fault: why recorded scores could not be fetched though a remote is configured; None where there are none to
            fetch, or no remote.
        remedy: what to do about the fault, as an instruction.
    """

    found: bool = False
    teacher: dict[str, Any] | None = None
    fault: str | None = None
    remedy: str | None = None


class _Nowhere(Exception):
    """An object is not in the cache, and no remote is configured."""


def earlier_scores(track: str, into: Path) -> Earlier:
    """Bring back the scores that dvc.lock records for a track: from DVC's cache, else from the default remote.

    Every object's MD5 is compared, whether or not the remote has `verify: true`.

    Args:
        track: name of the track.
        into: an empty folder, made if need be; it stays empty unless all of the scores came.
    """
    into.mkdir(parents=True, exist_ok=True)
    recorded = _recorded(track)
    if recorded is None:
        return Earlier()
    listing, teacher = recorded
    try:
        from dvc.exceptions import NotDvcRepoError
        from dvc.repo import Repo
    except ImportError:
        return Earlier(teacher=teacher)
    with _quiet():
        try:
            with closing(Repo()) as repo, atomic_folder(into) as partial:
                objects = _Objects(repo, track, listing)
                path = partial / ".listing"
                objects.get(listing, path)
                files = json.loads(path.read_bytes())
                path.unlink()
                for file in files:
                    target = partial / file["relpath"]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    objects.get(file["md5"], target)
        except (NotDvcRepoError, _Nowhere):
            return Earlier(teacher=teacher)
        except DecantError as error:
            return Earlier(teacher=teacher, fault=error.problem, remedy=error.remedy)
    return Earlier(found=True, teacher=teacher)


def _recorded(track: str) -> tuple[str, dict[str, Any]] | None:
    """The MD5 of the listing of a track's scores, and their teacher's block of params, by dvc.lock."""
    try:
        lock = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))
        stage = lock["stages"][f"score@{track}"]
        teacher = stage["params"]["params.yaml"][f"{track}.teacher"]
        outputs = {output["path"]: output["md5"] for output in stage["outs"]}
        return outputs[str(paths.SCORES / track)], teacher
    except (FileNotFoundError, YAMLError, KeyError, TypeError):
        return None


class _Objects:
    """Objects by their MD5.

    Args:
        repo: the opened DVC repository.
        track: whose scores are wanted, for the remedies.
        listing: the MD5 of their listing, the same.
    """

    def __init__(self, repo: Any, track: str, listing: str) -> None:
        self._repo = repo
        self._listing = listing
        self._stage = f"score@{track}"

    def get(self, md5: str, path: Path) -> None:
        """Write one object to `path`.

        Raises:
            DecantError: the remote does not give it.
            _Nowhere: it is not in the cache, and there is no remote.
        """
        cached = Path(self._repo.cache.local.oid_to_path(md5))
        if cached.is_file():
            shutil.copyfile(cached, path)
            if _md5(path) == md5.removesuffix(".dir"):
                return
        filesystem, root = self._remote
        source = _address(filesystem, root, md5)
        try:
            filesystem.get_file(source, str(path))
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # it is not the remote's fault
            raise self._fault(error, filesystem, root, md5) from error
        if _md5(path) != md5.removesuffix(".dir"):
            raise DecantError(
                f"the remote {self._name!r} holds a corrupted object: the MD5 of "
                f"{filesystem.unstrip_protocol(source)} is not the one in its name",
                self._push_again(filesystem, root, md5),
            )

    @property
    def _name(self) -> str | None:
        name: str | None = self._repo.config["core"].get("remote")
        return name or None

    @cached_property
    def _remote(self) -> tuple[Any, str]:
        """The default remote's file system and its root there."""
        from dvc.config import RemoteNotFoundError
        from dvc.fs import RemoteMissingDepsError, get_cloud_fs

        if self._name is None:
            raise _Nowhere
        try:
            kind, config, root = get_cloud_fs(self._repo.config, name=self._name)
            if config.get("version_aware") or config.get("worktree"):
                raise DecantError(
                    f"the remote {self._name!r} is version_aware or a worktree, and holds no objects by their MD5",
                    f"`dvc remote modify {self._name} version_aware false`, the same for worktree, and `dvc push` anew",
                )
            if kind.protocol == "ssh":
                config = {**config, "client_factory": _never_asking()}
            filesystem = kind(**config)
            _ = filesystem.fs  # connects, where the protocol knows connections
        except DecantError:
            raise
        except RemoteNotFoundError as error:
            raise DecantError(
                f"the remote {self._name!r} is the default one and is not configured",
                "`dvc remote list` shows the remotes, `dvc remote default NAME` chooses one",
            ) from error
        except (ImportError, RemoteMissingDepsError) as error:
            scheme = urlsplit(self._repo.config["remote"][self._name]["url"]).scheme
            package = f"'.[{scheme}]'" if scheme in ("ssh", "s3") else f"dvc-{scheme}"
            raise DecantError(
                f"the remote {self._name!r} needs a client that is not installed: {_reason(error)}",
                f"`pip install {package}`, then `dvc repro --pull {self._stage}`",
            ) from error
        except FileNotFoundError as error:  # of the key
            raise self._refused(error) from error
        except Exception as error:
            raise self._unreachable(error) from error
        return filesystem, root

    def _fault(self, error: Exception, filesystem: Any, root: str, md5: str) -> DecantError:
        """What it means that an object could not be downloaded."""
        if not isinstance(error, FileNotFoundError):
            return self._unreachable(error)
        try:
            there = filesystem.exists(root)
        except Exception as other:
            return self._unreachable(other)
        if not there:
            return DecantError(
                f"there is nothing at {filesystem.unstrip_protocol(root)}, where the remote {self._name!r} should be: "
                f"{_reason(error)}",
                f"if the address is wrong: `dvc remote modify {self._name} url ADDRESS` (with --local for this "
                f"checkout alone), then `dvc repro --pull {self._stage}`; if nobody has pushed to it yet, let the "
                f"scores' owner type `dvc push {self._stage}`",
            )
        return DecantError(
            f"the remote {self._name!r} does not hold the scores that dvc.lock records: "
            f"{filesystem.unstrip_protocol(_address(filesystem, root, md5))} is missing",
            self._push_again(filesystem, root, None),
        )

    def _push_again(self, filesystem: Any, root: str, spoiled: str | None) -> str:
        """How the owner mends what lies on the remote.

        `dvc push` passes over an object that is there, whatever its content, and over all files of a listing that is.
        """
        paths = [_address(filesystem, root, md5) for md5 in dict.fromkeys([spoiled, self._listing]) if md5]
        listed = " and ".join(filesystem.unstrip_protocol(path) for path in paths)
        return (
            f"let the scores' owner remove {listed}, if it is there, and type `dvc push {self._stage}`; "
            f"then `dvc repro --pull {self._stage}`"
        )

    def _unreachable(self, error: Exception) -> DecantError:
        if _is_refusal(error):
            return self._refused(error)
        return DecantError(
            f"the remote {self._name!r} cannot be reached or read: {_reason(error)}",
            "`dvc remote list` shows its address; when the server answers there again, "
            f"`dvc repro --pull {self._stage}`",
        )

    def _refused(self, error: Exception) -> DecantError:
        keys = {
            "ssh": f"`dvc remote modify --local {self._name} keyfile ~/.ssh/KEY`, and `user NAME` if it is not yours",
            "s3": f"`dvc remote modify --local {self._name} profile NAME`, or access_key_id and secret_access_key, "
            "or the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        }
        scheme = urlsplit(self._repo.config["remote"][self._name]["url"]).scheme
        remedy = keys.get(scheme, "let the remote's owner give you the right to read it")
        return DecantError(
            f"the remote {self._name!r} was given no credentials, or refused them: {_reason(error)}",
            f"{remedy}; then `dvc repro --pull {self._stage}`",
        )


def _address(filesystem: Any, root: str, md5: str) -> str:
    """Where DVC keeps an object on a remote."""
    path: str = filesystem.join(root, "files", "md5", md5[:2], md5[2:])
    return path


def _never_asking() -> Any:
    """A client for SSH that fails where DVC's own would ask at the terminal, unattended runs included."""
    from asyncssh import SSHClient

    return SSHClient


def _is_refusal(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, PermissionError) or any(part in type(error).__name__ for part in CREDENTIALS):
            return True
        error = error.__cause__
    return False


def _reason(error: Exception) -> str:
    """DVC's words, or those of the library beneath, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what DVC and its clients log or warn of away from the terminal: a fault is told once, in the result."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
