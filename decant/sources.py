"""References to models and data, resolved in one place.

`package:import_name/sub/path` names files that an installed Python package ships, `path:…` a file or
folder, `hub:owner/name` a repository of the Hugging Face hub at a pinned revision.
"""

import errno
import importlib.metadata
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from decant.errors import DecantError
from decant.files import sha256
from decant.progress import quiet

COMMIT = re.compile(r"[0-9a-f]{40}")
MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
DATA_FILES = ["*.json", "*.jsonl", "*.jsonl.gz", "*.json.gz", "*.csv", "*.tsv", "*.parquet", "README.md"]


def resolve(
    reference: str, revision: str | None = None, kind: Literal["model", "dataset"] = "model", *, code: bool = False
) -> Path:
    """Find or download what a reference names.

    Args:
        reference: `package:…`, `path:…` or `hub:owner/name`.
        revision: the pinned commit of a hub repository.
        kind: of a hub repository.
        code: whether Python files of a hub repository are wanted too.

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
    if scheme == "hub":
        return _snapshot(reference, name, revision, kind, code)
    raise DecantError(
        f"{reference}: a reference cannot begin with `{scheme}:`",
        "write package:import_name/sub/path, path:file_or_folder or hub:owner/name",
    )


def _package_path(reference: str, name: str) -> Path:
    import_name, _, inside = name.partition("/")
    spec = importlib.util.find_spec(import_name) if import_name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise DecantError(
            f"{reference}: no package `{import_name}` is installed", "run `make install`, or correct the reference"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / inside
    if not path.exists():
        raise DecantError(f"{reference}: the package ships no {inside}", "install the version that params.yaml names")
    return path


def _snapshot(reference: str, name: str, revision: str | None, kind: Literal["model", "dataset"], code: bool) -> Path:
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if revision is None or not COMMIT.fullmatch(revision):
        raise DecantError(
            f"{reference}: the revision is {revision!r}, not a pinned commit",
            "set `revision` to the commit's 40 hexadecimal digits",
        )
    if quiet():
        disable_progress_bars()
    patterns = [*(MODEL_FILES if kind == "model" else DATA_FILES), *(["*.py"] if code else [])]
    try:
        folder = Path(snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=patterns))
    except HFValidationError as error:
        raise DecantError(f"{reference}: {name} is not a repository's name", "write hub:owner/name") from error
    except GatedRepoError as error:
        raise DecantError(f"{reference}: the repository is gated", "accept its terms and set HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise DecantError(f"{reference}: there is no revision {revision}", "correct `revision`") from error
    except RepositoryNotFoundError as error:
        raise DecantError(
            f"{reference}: the hub has no such {kind}, or your token may not see it",
            "correct the name, or set HF_TOKEN",
        ) from error
    # What is not found in the cache either is an OSError, a web page in place of the hub's answer a ValueError.
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        raise DecantError(
            f"{reference}: the hub cannot be reached and revision {revision[:12]} is not in the local cache ({error})",
            "check the network, the proxy, HF_ENDPOINT (a mirror) and HF_HUB_OFFLINE, and run again: "
            "files that are whole are not downloaded again",
        ) from error
    if kind == "dataset" and not folder.is_dir():
        raise DecantError(f"{reference}: the repository holds no data file", f"name one with {', '.join(DATA_FILES)}")
    return folder


def model_folder(reference: str, revision: str | None, expected_sha256: str | None, *, code: bool = False) -> Path:
    """Resolve a model and make sure that its weights are safetensors and those that are expected.

    Args:
        reference: of the model's folder.
        revision: the pinned commit of a hub repository.
        expected_sha256: of `model.safetensors`; None skips the check.
        code: whether Python files are wanted too, for `trust_remote_code`.

    Returns:
        the local folder.

    Raises:
        DecantError: nothing is there, there are no safetensors, or the checksum differs.
    """
    folder = resolve(reference, revision, code=code)
    if folder.is_file():
        raise DecantError(f"{reference}: {folder} is not a model's folder", "name the folder that holds config.json")
    if not any(folder.glob("*.safetensors")):
        raise DecantError(
            f"{reference}: {folder} holds no safetensors",
            "name a model published as safetensors, or convert its weights once (pickled weights are never loaded)",
        )
    if expected_sha256 is not None:
        weights = folder / "model.safetensors"
        if not weights.is_file():
            raise DecantError(
                f"{reference}: there is no {weights.name} for the sha256 to be compared with",
                "set `sha256` to null for weights that are split into several files",
            )
        found = sha256(weights)
        if found != expected_sha256:
            raise DecantError(
                f"{reference}: {weights} has SHA-256 {found}, expected {expected_sha256}",
                "install the model again; if you meant to change it, set `sha256` to the new value",
            )
    return folder


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
