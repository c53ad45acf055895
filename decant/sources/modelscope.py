"""`modelscope:owner/name`: a repository of ModelScope, or of a mirror in MODELSCOPE_ENDPOINT.

The client resumes a file that was cut off, in a later run too, and keeps the files that are whole.
"""

import contextlib
import io
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from decant.errors import DecantError
from decant.files import locked, read_json, write_json
from decant.processes import NO_TRACEBACK
from decant.progress import quiet
from decant.sources import Kind


def find(reference: str, revision: str, kind: Kind, patterns: Sequence[str]) -> Path:
    """See `decant.sources.references.Find`."""
    name = reference.removeprefix("modelscope:")
    try:
        import modelscope_hub
    except ImportError as error:
        fault = f"{reference}: ModelScope's client is not installed"
        raise DecantError(fault, "run `pip install '.[modelscope]'`") from error
    if not re.fullmatch(r"[^/\s]+/[^/\s]+", name):
        raise DecantError(f"{reference}: {name} is not a repository's name", "write modelscope:owner/name")
    # Where the client keeps this commit. The folder is named, because the client otherwise takes one of its older
    # releases, in which the files of several commits lie together.
    cache = Path(modelscope_hub.get_default_config().cache_dir)
    folder = cache / f"{kind}s" / name.replace("/", "--") / "snapshots" / revision
    if not _is_complete(folder, patterns):
        with locked(folder):  # two processes would write into one file
            if not _is_complete(folder, patterns):
                _download(reference, folder, name, revision, kind, patterns)
                _mark_complete(folder, patterns)
    return folder


def _download(reference: str, folder: Path, name: str, revision: str, kind: Kind, patterns: Sequence[str]) -> None:
    import modelscope_hub

    # The client has no switch for its bars and its log.
    silence = contextlib.redirect_stderr(io.StringIO()) if quiet() else contextlib.nullcontext()
    if quiet():
        logging.getLogger("modelscope_hub").setLevel(logging.CRITICAL)
    try:
        with silence:
            api = modelscope_hub.HubApi()
            api.download_repo(name, kind, revision=revision, local_dir=folder, allow_patterns=list(patterns))
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
    # The client raises a ValueError for a web page as an answer; what `requests` raises is an OSError.
    except (modelscope_hub.HubError, OSError, ValueError) as error:
        failed = error.failed_files.values() if isinstance(error, modelscope_hub.FileDownloadError) else (error,)
        for fault in failed:
            if isinstance(fault, OSError) and fault.errno in NO_TRACEBACK:
                raise fault from None
        raise DecantError(
            f"{reference}: ModelScope cannot be reached and revision {revision[:12]} is not in the local cache "
            f"({str(error).splitlines()[0]})",
            "check the network, the proxy and MODELSCOPE_ENDPOINT (a mirror), and run again: "
            "files that are whole are not downloaded again",
        ) from error


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
