"""Reranking sets that are built from installed Python packages: no download, no account."""

from decant.data.sets import Row
from decant.errors import DecantError

# Of the texts, by split. They are fixed, so that another number of train queries leaves the test split as it is.
SHARES = {"train": 0.6, "dev": 0.1, "test": 0.3}


def first_rows(name: str, split: str, rows: list[Row], size: int) -> list[Row]:
    """The first `size` rows of a split; a DecantError where there are fewer."""
    if len(rows) < size:
        raise DecantError(
            f"{name}: only {len(rows)} {split} queries could be made, {size} are asked for",
            f"lower datasets.{name}.{split}",
        )
    return rows[:size]
