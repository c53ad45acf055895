"""Downloads from the two model hubs: a pinned commit, the files that are wanted and no others.

Both clients resume a file that was cut off, ModelScope's also in a later run, and keep the files that are whole.
"""

import contextlib
import errno
import io
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from decant.errors import DecantError
from decant.files import read_json, write_json
from decant.progress import quiet

Kind = Literal["model", "dataset"]

COMMIT = re.compile(r"[0-9a-f]{40}")
REPOSITORY = re.compile(r"[^/\s]+/[^/\s]+")
OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


def download(reference: str, revision: str | None, kind: Kind, patterns: Sequence[str]) -> Path:
    """Download a repository's files, or find them in the hub's cache.

    Args:
        reference: `hub:owner/name` or `modelscope:owner/name`.
        revision: the pinned commit.
        kind: of the repository.
        patterns: of the files that are wanted; `*` matches `/` too.

    Returns:
        the local folder, which may lack when a model's repository has no such file.

    Raises:
        DecantError: the revision is no commit, the repository or the commit is not there, a data set has no such
            file, or the hub cannot be reached.
    """
    scheme, _, name = reference.partition(":")
    if revision is None or not COMMIT.fullmatch(revision):
        raise DecantError(
            f"{reference}: the revision is {revision!r}, not a pinned commit",
            "set `revision` to the commit's 40 hexadecimal digits",
        )
    from_hub = _hugging_face if scheme == "hub" else _modelscope
    folder = from_hub(reference, name, revision, kind, patterns)
    if kind == "dataset" and not any(folder.rglob("*")):
        raise DecantError(f"{reference}: the repository holds no data file", f"name one with {', '.join(patterns)}")
    return folder


def _hugging_face(reference: str, name: str, revision: str, kind: Kind, patterns: Sequence[str]) -> Path:
    import httpx2
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if quiet():
        disable_progress_bars()
    try:
        return Path(snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=list(patterns)))
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
        if isinstance(error, OSError) and error.errno in OF_THE_DISK:
            raise
        raise DecantError(
            f"{reference}: the hub cannot be reached and revision {revision[:12]} is not in the local cache ({error})",
            "check the network, the proxy, HF_ENDPOINT (a mirror) and HF_HUB_OFFLINE, and run again: "
            "files that are whole are not downloaded again",
        ) from error


def _modelscope(reference: str, name: str, revision: str, kind: Kind, patterns: Sequence[str]) -> Path:
    try:
        import modelscope_hub
    except ImportError as error:
        raise DecantError(
            f"{reference}: ModelScope's client is not installed", "run `pip install '.[modelscope]'`"
        ) from error
    if not REPOSITORY.fullmatch(name):
        raise DecantError(f"{reference}: {name} is not a repository's name", "write modelscope:owner/name")
    # Where the client keeps this commit. It is named, lest the client take a folder of its older releases instead,
    # in which the files of several commits lie together.
    cache = Path(modelscope_hub.get_default_config().cache_dir)
    folder = cache / f"{kind}s" / name.replace("/", "--") / "snapshots" / revision
    if _is_complete(folder, patterns):
        return folder
    try:
        with _quietly():
            modelscope_hub.HubApi().download_repo(
                name, kind, revision=revision, local_dir=folder, allow_patterns=list(patterns)
            )
    except modelscope_hub.NotExistError as error:
        raise DecantError(
            f"{reference}: ModelScope has no such {kind}, or no revision {revision} of it",
            "correct the name and `revision`: ModelScope numbers its commits differently from the Hugging Face hub",
        ) from error
    except (modelscope_hub.AuthenticationError, modelscope_hub.PermissionDeniedError) as error:
        raise DecantError(
            f"{reference}: ModelScope does not let you see the repository",
            "set MODELSCOPE_API_TOKEN to a token that may",
        ) from error
    # A web page in place of the hub's answer is a ValueError, and what `requests` raises an OSError.
    except (modelscope_hub.HubError, OSError, ValueError) as error:
        failed = error.failed_files.values() if isinstance(error, modelscope_hub.FileDownloadError) else (error,)
        for one in failed:
            if isinstance(one, OSError) and one.errno in OF_THE_DISK:
                raise one from None
        raise DecantError(
            f"{reference}: ModelScope cannot be reached and revision {revision[:12]} is not in the local cache "
            f"({str(error).splitlines()[0]})",
            "check the network, the proxy and MODELSCOPE_ENDPOINT (a mirror), and run again: "
            "files that are whole are not downloaded again",
        ) from error
    _mark_complete(folder, patterns)
    return folder


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep ModelScope's client, which has no switch for it, from drawing bars and logging where nobody watches."""
    if not quiet():
        yield
        return
    logging.getLogger("modelscope_hub").setLevel(logging.CRITICAL)
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def _note(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.decant.json")


def _is_complete(folder: Path, patterns: Sequence[str]) -> bool:
    """Whether all of these files were downloaded: the commit is pinned, so the hub has no news of it."""
    if not _note(folder).is_file():
        return False
    note = read_json(_note(folder))
    return set(patterns) <= set(note["patterns"]) and all((folder / file).is_file() for file in note["files"])


def _mark_complete(folder: Path, patterns: Sequence[str]) -> None:
    earlier = read_json(_note(folder))["patterns"] if _is_complete(folder, ()) else []
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    write_json(_note(folder), {"patterns": sorted({*earlier, *patterns}), "files": files})
