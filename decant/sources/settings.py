"""How params.yaml names a model or a data set."""

import re
from typing import Annotated

from pydantic import Field

Reference = Annotated[str, Field(pattern=r"^(package|path|hub|modelscope):\S.*$")]


def pinned(reference: str, revision: str | None) -> None:
    """Make sure that what comes from a hub names a commit, and that nothing else does."""
    remote = reference.startswith(("hub:", "modelscope:"))
    if remote and not re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        found = "null" if revision is None else repr(revision)
        raise ValueError(f"`revision` is {found}, and {reference} must be pinned to a commit: 40 hexadecimal digits")
    if not remote and revision is not None:
        raise ValueError(f"`revision` is {revision!r}, and {reference} has none: set it to null")
