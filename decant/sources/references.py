"""References to models and data, resolved in one place; `decant.sources.SCHEMES` lists what they may begin with."""

import importlib
import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from decant.errors import DecantError
from decant.files import locked, sha256
from decant.sources import SCHEMES, Kind
from decant.sources.conversion import PICKLE, convert, converted_folder
from decant.sources.safety import check_safe

WEIGHTS = "*.safetensors"
TOKENIZER_FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
MODEL_FILES = [*TOKENIZER_FILES, WEIGHTS]
CODE = ["*.py"]
_KINDS = ("json", "jsonl", "csv", "tsv")
DATA_FILES = [f"*.{kind}{packed}" for kind in _KINDS for packed in ("", ".gz", ".zst")]
DATA_FILES += ["*.parquet", "*.arrow", "README.md"]


class Find(Protocol):
    """The function `find` of a scheme's module."""

    def __call__(self, reference: str, revision: str, kind: Kind, patterns: Sequence[str]) -> Path:
        """Find or download what a reference names.

        Args:
            reference: with its scheme.
            revision: the pinned commit; empty where the scheme has none.
            kind: of the repository.
            patterns: of a repository's files that are wanted; `*` matches `/` too.

        Returns:
            the file or folder; a model's folder may lack where its repository has no such file.
        """


def resolve(
    reference: str, revision: str | None = None, kind: Kind = "model", patterns: Sequence[str] | None = None
) -> Path:
    """Find or download what a reference names; see `Find`.

    Args:
        reference: such as `package:…`, `path:…`, `hub:owner/name` or `modelscope:owner/name`.
        revision: the pinned commit of a repository.
        kind: of a repository.
        patterns: of a repository's files that are wanted; None stands for the usual ones of its kind.

    Raises:
        DecantError: the scheme is unknown, a repository is not pinned to a commit, nothing is there, or the hub cannot
            be reached.
    """
    name = reference.partition(":")[0]
    if name not in SCHEMES:
        known = " or ".join(f"{scheme}:…" for scheme in SCHEMES)
        raise DecantError(f"{reference}: a reference cannot begin with `{name}:`", f"write {known}")
    scheme = SCHEMES[name]
    if scheme.pinned and not re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        raise DecantError(
            f"{reference}: the revision is {revision!r}, not a pinned commit",
            "set `revision` to the commit's 40 hexadecimal digits",
        )
    patterns = patterns or (MODEL_FILES if kind == "model" else DATA_FILES)
    find: Find = importlib.import_module(scheme.module).find
    path = find(reference, revision or "", kind, patterns)
    if scheme.pinned and kind == "dataset" and not any(path.rglob("*")):
        raise DecantError(f"{reference}: the repository holds no data file", f"name one with {', '.join(patterns)}")
    return path


def tokenizer_folder(reference: str, revision: str | None, *, code: bool = False) -> Path:
    """Resolve the configuration and tokenizer of a model whose weights are elsewhere; see `model_folder`."""
    folder = resolve(reference, revision, patterns=[*TOKENIZER_FILES, *(CODE if code else ())])
    if not code:
        check_safe(reference, folder)
    return folder


def model_folder(reference: str, revision: str | None, expected_sha256: str | None, *, code: bool = False) -> Path:
    """Resolve a model, and make sure that it is safe and that its weights are safetensors and the expected ones.

    A model without safetensors is converted once from its `pytorch_model.bin`, where `expected_sha256` is this file's.

    Args:
        reference: of the model's folder.
        revision: the pinned commit of a repository.
        expected_sha256: of `model.safetensors`, or of the `pytorch_model.bin` that is to be converted; None skips the
            check, and converts nothing.
        code: whether Python files are wanted too, for `trust_remote_code`; without, a folder that loads only by
            running code is refused.

    Raises:
        DecantError: nothing is there, there are no safetensors, the checksum differs, or the folder is not safe.
    """
    patterns = [*MODEL_FILES, *(CODE if code else ())]
    folder = resolve(reference, revision, patterns=patterns)
    if folder.is_file():
        raise DecantError(f"{reference}: {folder} is not a model's folder", "name the folder that holds config.json")
    if not code:
        check_safe(reference, folder)
    if any(folder.glob(WEIGHTS)):
        if expected_sha256 is not None:
            _check_sha256(reference, folder / "model.safetensors", expected_sha256)
        return folder
    if expected_sha256 is None:
        raise DecantError(
            f"{reference}: {folder} holds no safetensors",
            f"name a model published as safetensors, or set `sha256` to the SHA-256 that its {PICKLE} is published "
            "with, to have that converted once (pickled weights are never loaded otherwise)",
        )
    target = converted_folder(folder, expected_sha256, patterns)
    if not target.is_dir():
        with locked(target):
            if not target.is_dir():
                pickled = resolve(reference, revision, patterns=[*patterns, PICKLE]) / PICKLE
                if not pickled.is_file():
                    raise DecantError(
                        f"{reference}: {folder} holds neither safetensors nor {PICKLE}",
                        "name a model published as safetensors, or its folder with the weights in this one file",
                    )
                _check_sha256(reference, pickled, expected_sha256)
                convert(reference, pickled, patterns, target)
    return target


def _check_sha256(reference: str, weights: Path, expected: str) -> None:
    if not weights.is_file():
        raise DecantError(
            f"{reference}: there is no {weights.name} for the sha256 to be compared with",
            "set `sha256` to null for weights that are split into several files",
        )
    actual = sha256(weights)
    if actual != expected:
        raise DecantError(
            f"{reference}: {weights} has SHA-256 {actual}, expected {expected}",
            "install the model again; if you meant to change it, set `sha256` to the new value",
        )


def check_versions(packages: Mapping[str, str]) -> None:
    """Raise a DecantError unless the installed packages have the versions that the data set is defined by."""
    for package, version in packages.items():
        try:
            installed = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError as error:
            raise DecantError(f"the package {package} is not installed", "run `make install`") from error
        if installed != version:
            raise DecantError(
                f"{package} {installed} is installed, and params.yaml names {version}",
                f"run `make install`, or change the data set's `packages.{package}`: its rows will change with it",
            )
