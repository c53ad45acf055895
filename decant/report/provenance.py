"""Where a report comes from: commit, checksums, revisions, versions, machine, and the params that are no defaults."""

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import yaml

from decant import paths

SOURCES = ("params.yaml", "dvc.yaml", "decant", "stages")  # what git has of all that a result hangs on
KEPT = (paths.SETS, paths.TEACHERS, paths.SCORES, paths.MODELS)  # the outputs whose checksums are shown
PACKAGES = ("decant", "torch", "transformers", "sentence-transformers", "dvc", "numpy", "pyarrow")


def provenance(params: Mapping[str, Any], changed: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What stands in the page's last section, as pairs of a name and a text.

    Args:
        params: all of them, as nested mappings.
        changed: those that differ from their defaults. Names and passwords in addresses are left out: the page is sent
            around.
    """
    shown = yaml.safe_dump(dict(changed), sort_keys=False, allow_unicode=True)
    rows = [
        ("commit", _commit()),
        ("checksums of sets, scores and models (MD5, as in dvc.lock)", "".join(f"{line}\n" for line in _checksums())),
        ("revisions and checksums that params.yaml asks for", "".join(f"{line}\n" for line in _revisions(params))),
        ("Python and packages", f"Python {platform.python_version()}, {', '.join(_versions())}"),
        ("machine of the stage report", _machine()),
        ("params that are not their defaults", re.sub("//[^/@\\s]*@", "//", shown)),
    ]
    return [(name, text) for name, text in rows if text]


def _commit() -> str:
    """What git has checked out, and whether code or params differ from it."""
    try:
        head, changes = (
            subprocess.run(["git", *command], check=True, capture_output=True, text=True).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", *SOURCES])
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown: this is no git repository with a commit"
    return f"{head}, with changes in {_names(changes)}" if changes else head


def _names(status: str) -> str:
    return ", ".join(sorted({line.split()[-1] for line in status.splitlines()}))


def _checksums() -> Iterator[str]:
    if not paths.LOCK.is_file():
        return
    stages = yaml.safe_load(paths.LOCK.read_text(encoding="utf-8"))["stages"].values()
    for out in (out for stage in stages for out in stage.get("outs", ())):
        if any(Path(out["path"]).is_relative_to(folder) for folder in KEPT):
            yield f"{out['md5']}  {out['path']}"


def _revisions(params: Mapping[str, Any], place: str = "") -> Iterator[str]:
    for key, value in params.items():
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            yield from _revisions(value, f"{place}{key}.")
        elif key in ("revision", "sha256") and value is not None:
            yield f"{place}{key}: {value}"


def _versions() -> Iterator[str]:
    for name in PACKAGES:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
            continue


def _machine() -> str:
    memory = psutil.virtual_memory().total / 1e9
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB of memory"
