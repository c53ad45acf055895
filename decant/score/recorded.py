"""The scores that dvc.lock records for a track, and whether they are here: a teacher is not paid for twice."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from decant import paths
from decant.score.settings import Ensemble, Teacher, Teachers

# What decides scores, beside the contents of local files. Two values of `sha256` differ only where both are given.
DECISIVE = {
    "kind", "engine", "model", "revision", "max_length", "query_prompt", "document_prompt", "template", "dtype",
    "embeddings_dtype", "dimensions",
}  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """The scores that dvc.lock records for a track: the MD5 of their folder, as DVC names it, and their teachers.

    `adapted` is the MD5 of the folder where the stage `adapt` writes the teacher that it trained, if it did.
    """

    md5: str
    teacher: Teacher | Ensemble
    adapted: str | None = None

    def of(self, teacher: Teacher) -> bool:
        """Whether they are a teacher's own, or have its own among those of an ensemble's members."""
        return any(_same(member, teacher) for member in self.teacher.members)


def _same(one: Teacher, other: Teacher) -> bool:
    same_weights = None in (one.sha256, other.sha256) or one.sha256 == other.sha256
    return same_weights and one.model_dump(include=DECISIVE) == other.model_dump(include=DECISIVE)


def recorded_scores(track: str) -> Recorded | None:
    """What dvc.lock records for a track; None where there is nothing, or params of another form."""
    try:
        lock = yaml.load(paths.LOCK.read_bytes(), yaml.CSafeLoader)
        stage = lock["stages"][f"score@{track}"]
        block = stage["params"]["params.yaml"][f"{track}.teacher"]
        teacher: Teacher | Ensemble = TypeAdapter(Teachers).validate_python(block)
        [md5] = [out["md5"] for out in stage["outs"] if out["path"] == str(paths.SCORES / track)]
        adapted = [dep["md5"] for dep in stage.get("deps", ()) if dep["path"] == str(paths.TEACHERS / track)]
    except (FileNotFoundError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return None
    return Recorded(md5, teacher, *adapted)


def folder_md5(folder: Path) -> str | None:
    """The MD5 that DVC names a folder by, of the list of its files; None where there is no folder."""
    if not folder.is_dir():
        return None
    files = []
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                md5 = hashlib.file_digest(file, "md5").hexdigest()
            files.append({"md5": md5, "relpath": path.relative_to(folder).as_posix()})
    files.sort(key=lambda file: file["relpath"])
    return f"{hashlib.md5(json.dumps(files, sort_keys=True).encode()).hexdigest()}.dir"


def default_remote() -> str | None:
    """The name of DVC's default remote, in this project's settings or the user's; None where there is none."""
    try:
        from dvc.config import Config
    except ImportError:
        return None
    remote: str | None = Config(".dvc", validate=False).get("core", {}).get("remote")
    return remote
