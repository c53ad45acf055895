"""`hub:owner/name`: a repository of the Hugging Face hub, or of a mirror in HF_ENDPOINT.

The client resumes a file that was cut off, and keeps the files that are whole.
"""

from collections.abc import Sequence
from pathlib import Path

from decant.errors import DecantError
from decant.processes import NO_TRACEBACK
from decant.progress import quiet
from decant.sources import Kind


def find(reference: str, revision: str, kind: Kind, patterns: Sequence[str]) -> Path:
    """See `decant.sources.references.Find`."""
    import httpx2
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if quiet():
        disable_progress_bars()
    name = reference.removeprefix("hub:")
    try:
        return Path(snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=list(patterns)))
    except errors.HFValidationError as error:
        raise DecantError(f"{reference}: {name} is not a repository's name", "write hub:owner/name") from error
    except errors.GatedRepoError as error:
        raise DecantError(f"{reference}: the repository is gated", "accept its terms and set HF_TOKEN") from error
    except errors.RevisionNotFoundError as error:
        raise DecantError(f"{reference}: there is no revision {revision}", "correct `revision`") from error
    except errors.RepositoryNotFoundError as error:
        raise DecantError(
            f"{reference}: the hub has no such {kind}, or your token may not see it",
            "correct the name, or set HF_TOKEN",
        ) from error
    # The client raises an OSError where the cache lacks a file too, and a ValueError for a web page as an answer.
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in NO_TRACEBACK:
            raise
        raise DecantError(
            f"{reference}: the hub cannot be reached and revision {revision[:12]} is not in the local cache ({error})",
            "check the network, the proxy, HF_ENDPOINT (a mirror) and HF_HUB_OFFLINE, and run again: "
            "files that are whole are not downloaded again",
        ) from error
