"""What makes a teacher another teacher: all that its scores depend on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decant.files import sha256
from decant.score.engines import TeacherSpec
from decant.score.prompts import Prompts

LAYOUT = 1  # of the store; another one never reads this one's scores
DESCRIBES = {".json", ".safetensors", ".bin", ".txt", ".model", ".jinja"}


def identity(
    spec: TeacherSpec, prompts: Prompts, reference: str, revision: str | None, embeddings: str
) -> dict[str, Any]:
    """A teacher by all that its scores depend on but the texts.

    Args:
        spec: of the teacher.
        prompts: the teacher's, with the prompts and the limit that are in effect.
        reference: of the model in params; for a repository it names the model, with its revision.
        revision: the pinned commit of a repository; None for local files, whose contents name the model.
        embeddings: the precision in which the embeddings of a bi_encoder are kept, which its scores are made of.
    """
    model = f"{reference}@{revision}" if revision else f"sha256:{_contents(spec.folder, spec.trust_remote_code)}"
    return {
        "layout": LAYOUT,
        "kind": spec.kind,
        "model": model,
        "engine": spec.engine,
        "dtype": spec.dtype,
        "max_length": prompts.max_length,
        "prompts": prompts.described(),
        "embeddings": embeddings if spec.kind == "bi_encoder" else None,
    }


def digest(of: Mapping[str, Any]) -> str:
    """The name of a teacher in the store: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two teachers, as field → (of one, of the other)."""
    return {name: (one.get(name), other.get(name)) for name in {**one, **other} if one.get(name) != other.get(name)}


def _contents(folder: Path, code: bool) -> str:
    kept = DESCRIBES | ({".py"} if code else set())
    files = sorted(path for path in folder.rglob("*") if path.suffix in kept and path.is_file())
    parts = [f"{path.relative_to(folder).as_posix()} {sha256(path)}" for path in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
