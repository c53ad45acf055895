"""References to models and data, resolved in one place.

`package:import_name/sub/path` names files that an installed Python package ships, `path:…` a file or folder,
`hub:owner/name` and `modelscope:owner/name` a repository of the Hugging Face hub or of ModelScope at a pinned revision.
"""

import importlib.metadata
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from decant.errors import DecantError
from decant.files import sha256
from decant.sources.conversion import PICKLE, convert, converted_folder
from decant.sources.hubs import Kind, download
from decant.sources.safety import check_safe

WEIGHTS = "*.safetensors"
MODEL_FILES = ["*.json", WEIGHTS, "*.txt", "*.model", "*.jinja"]
DATA_FILES = ["*.json", "*.jsonl", "*.jsonl.gz", "*.json.gz", "*.csv", "*.tsv", "*.parquet", "README.md"]


def resolve(
    reference: str,
    revision: str | None = None,
    kind: Kind = "model",
    *,
    extra: Sequence[str] = (),
    leave: Sequence[str] = (),
) -> Path:
    """Find or download what a reference names.

    Args:
        reference: `package:…`, `path:…`, `hub:owner/name` or `modelscope:owner/name`.
        revision: the pinned commit of a repository.
        kind: of a repository.
        extra: patterns of files of a repository that are wanted besides the usual ones of its kind.
        leave: those of the usual ones that are not wanted.

    Returns:
        the local file or folder.

    Raises:
        DecantError: the scheme is unknown, nothing is there, or the hub cannot be reached.
    """
    scheme, _, name = reference.partition(":")
    if scheme == "path":
        try:
            path = Path(name).expanduser()
            there = path.exists()
        except (RuntimeError, OSError) as error:  # no such user's home, a name that is too long
            raise DecantError(f"{reference}: {error}", "correct the path in params.yaml") from error
        if not there:
            raise DecantError(f"{reference}: {path.absolute()} does not exist", "correct the path in params.yaml")
        return path
    if scheme == "package":
        return _package_path(reference, name)
    if scheme in ("hub", "modelscope"):
        usual = [pattern for pattern in (MODEL_FILES if kind == "model" else DATA_FILES) if pattern not in leave]
        return download(reference, revision, kind, [*usual, *extra])
    raise DecantError(
        f"{reference}: a reference cannot begin with `{scheme}:`",
        "write package:import_name/sub/path, path:file_or_folder, hub:owner/name or modelscope:owner/name",
    )


def _package_path(reference: str, name: str) -> Path:
    import_name, _, inside = name.partition("/")
    try:
        spec = importlib.util.find_spec(import_name) if import_name.isidentifier() else None
    except ValueError:  # of `__main__` where a command runs that is no module
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise DecantError(
            f"{reference}: no package `{import_name}` is installed", "run `make install`, or correct the reference"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / inside
    if not path.exists():
        raise DecantError(f"{reference}: the package ships no {inside}", "install the version that params.yaml names")
    return path


def tokenizer_folder(reference: str, revision: str | None, *, code: bool = False) -> Path:
    """Resolve a model whose weights are elsewhere: its configuration and tokenizer, and that they are safe.

    Args:
        reference: of the model's folder.
        revision: the pinned commit of a repository.
        code: see `model_folder`.

    Raises:
        DecantError: nothing is there, or the folder is not safe.
    """
    folder = resolve(reference, revision, extra=["*.py"] if code else [], leave=[WEIGHTS])
    if not code:
        check_safe(reference, folder)
    return folder


def model_folder(reference: str, revision: str | None, expected_sha256: str | None, *, code: bool = False) -> Path:
    """Resolve a model and make sure that its weights are safetensors and those that are expected, and that it is safe.

    A model without safetensors is converted once from its `pytorch_model.bin`, where that file's checksum is expected.

    Args:
        reference: of the model's folder.
        revision: the pinned commit of a repository.
        expected_sha256: of `model.safetensors`, or of the `pytorch_model.bin` that is to be converted; None skips the
            check, and converts nothing.
        code: whether Python files are wanted too, for `trust_remote_code`; without, a folder that could not be
            loaded but by running code is refused.

    Returns:
        the local folder.

    Raises:
        DecantError: nothing is there, there are no safetensors, the checksum differs, or the folder is not safe.
    """
    extra = ["*.py"] if code else []
    folder = resolve(reference, revision, extra=extra)
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
    patterns = [*MODEL_FILES, *extra]
    target = converted_folder(folder, expected_sha256, patterns)
    if not target.is_dir():
        pickled = resolve(reference, revision, extra=[*extra, PICKLE]) / PICKLE
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
    found = sha256(weights)
    if found != expected:
        raise DecantError(
            f"{reference}: {weights} has SHA-256 {found}, expected {expected}",
            "install the model again; if you meant to change it, set `sha256` to the new value",
        )


def check_versions(packages: Mapping[str, str]) -> None:
    """Make sure that the installed packages are the ones that the data set is defined by.

    Raises:
        DecantError: a package is missing or has another version.
    """
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
