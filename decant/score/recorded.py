"""The scores that dvc.lock records for a track, and whether they are here: a teacher is not paid for twice."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from decant import paths
from decant.score.settings import Teacher

# What decides scores, beside the contents of local files. Two values of `sha256` differ only where both are given.
DECISIVE = {
    "kind", "engine", "model", "revision", "max_length", "query_prompt", "document_prompt", "dtype", "embeddings_dtype"
}  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """The scores that dvc.lock records for a track: the MD5 of their folder, as DVC names it, and their teacher.

    `adapted` is the MD5 of the folder where the stage `adapt` writes the teacher that it trained, if it did.
    """

    md5: str
    teacher: Teacher
    adapted: str | None = None

    def of(self, teacher: Teacher) -> bool:
        """Whether they are a teacher's own."""
        same_weights = None in (self.teacher.sha256, teacher.sha256) or self.teacher.sha256 == teacher.sha256
        return same_weights and self.teacher.model_dump(include=DECISIVE) == teacher.model_dump(include=DECISIVE)


def recorded_scores(track: str) -> Recorded | None:
    """What dvc.lock records for a track; None where there is nothing, or params of another form."""
    try:
        lock = yaml.load(paths.LOCK.read_bytes(), yaml.CSafeLoader)
        stage = lock["stages"][f"score@{track}"]
        teacher = Teacher.model_validate(stage["params"]["params.yaml"][f"{track}.teacher"])
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
