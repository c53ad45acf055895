"""Files into a repository of the Hugging Face hub, in one commit."""

from collections.abc import Mapping
from pathlib import Path

import httpx2
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils._validators import validate_repo_id

from decant.errors import DecantError
from decant.sources import Kind


def check_name(repository: str) -> None:
    """Raise a DecantError where that is not a repository's name, with its owner's."""
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise DecantError(f"{repository} is not a repository's name", "write owner/name") from error
    if "/" not in repository:
        raise DecantError(f"{repository} has no owner", "write owner/name")


def files_of(folder: Path, replaced: Mapping[str, str]) -> dict[str, Path | bytes]:
    """A folder's files by their paths in the repository, hidden ones left out, with the contents of some replaced."""
    found: dict[str, Path | bytes] = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    return found | {name: text.encode() for name, text in replaced.items()}


def size_of(content: Path | bytes) -> int:
    """Of a file, or of what replaces it, in bytes."""
    return content.stat().st_size if isinstance(content, Path) else len(content)


def upload(repository: str, kind: Kind, files: Mapping[str, Path | bytes], message: str, *, private: bool) -> str:
    """Make the repository where it is not there, and commit the files; other files of it stay as they are.

    The token is that of `hf auth login` or HF_TOKEN; HF_ENDPOINT names another hub.

    Returns:
        the commit's address.

    Raises:
        DecantError: there is no token, it may not write there, or the hub refuses the card or cannot be reached. Then
            nothing is committed.
    """
    hub = HfApi()
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()]
    try:
        hub.create_repo(repository, repo_type=kind, private=private, exist_ok=True, token=True)
        return str(
            hub.create_commit(repository, operations, commit_message=message, repo_type=kind, token=True).commit_url
        )
    except LocalTokenNotFoundError as error:
        raise DecantError("there is no token for the hub", "`hf auth login`, or set HF_TOKEN") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        remedy = "take a token that may write there" if status in (401, 403) else "look at the hub's answer"
        raise DecantError(
            f"{repository}: the hub refuses ({status}): {error.server_message or error}", remedy
        ) from error
    except ValueError as error:  # of the card's metadata, which the hub looks at before it takes a file
        raise DecantError(
            f"{repository}: the hub refuses the card ({error})", "name the licence as the hub does, such as apache-2.0"
        ) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OfflineModeIsEnabled, OSError) as error:
        raise DecantError(
            f"{repository}: the hub cannot be reached ({error})",
            "check the network, the proxy, HF_ENDPOINT (a mirror) and HF_HUB_OFFLINE; what was uploaded is not again",
        ) from error
