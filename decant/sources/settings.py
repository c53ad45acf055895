"""How params.yaml names a model or a data set."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from decant.sources import SCHEMES


def _known_scheme(reference: str) -> str:
    scheme = reference.partition(":")[0]
    if scheme not in SCHEMES:
        known = " or ".join(f"{name}:…" for name in SCHEMES)
        raise ValueError(f"a reference cannot begin with `{scheme}:`: write {known}")
    return reference


Reference = Annotated[str, Field(pattern=r"^[a-z]+:\S.*$"), AfterValidator(_known_scheme)]


def pinned(reference: str, revision: str | None) -> None:
    """Make sure that what comes from a hub names a commit, and that nothing else does.

    Raises:
        ValueError: it does not.
    """
    scheme = SCHEMES[reference.partition(":")[0]]
    if scheme.pinned and not re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        given = "null" if revision is None else repr(revision)
        raise ValueError(f"`revision` is {given}, and {reference} must be pinned to a commit: 40 hexadecimal digits")
    if not scheme.pinned and revision is not None:
        raise ValueError(f"`revision` is {revision!r}, and {reference} has none: leave it out")
