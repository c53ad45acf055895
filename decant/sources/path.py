"""`path:…`: a file or a folder of this machine."""

from collections.abc import Sequence
from pathlib import Path

from decant.errors import DecantError
from decant.sources import Kind


def find(reference: str, revision: str, kind: Kind, patterns: Sequence[str]) -> Path:
    """See `decant.sources.references.Find`."""
    del revision, kind, patterns
    try:
        path = Path(reference.removeprefix("path:")).expanduser()
        exists = path.exists()
    except (RuntimeError, OSError) as error:  # no such user's home, a name that is too long
        raise DecantError(f"{reference}: {error}", "correct the path in params.yaml") from error
    if not exists:
        raise DecantError(f"{reference}: {path.absolute()} does not exist", "correct the path in params.yaml")
    return path
