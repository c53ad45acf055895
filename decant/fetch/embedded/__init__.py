"""Reranking sets that are built from installed Python packages: no download, no account."""

from collections.abc import Sized

from decant.errors import DecantError

# Of the texts, by split. They are fixed, so that another number of train queries leaves the test split as it is.
SHARES = {"train": 0.6, "dev": 0.1, "test": 0.3}


def check_size(name: str, split: str, rows: Sized, size: int) -> None:
    """Raise a DecantError unless a split has as many rows as are asked for."""
    if len(rows) < size:
        raise DecantError(
            f"{name}: only {len(rows)} {split} queries could be made, {size} are asked for",
            f"lower datasets.{name}.{split}",
        )
