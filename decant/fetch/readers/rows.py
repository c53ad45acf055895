"""Rows of `query`, `positive` and `negative`, or of `query` and `candidates`: a file a split, or a hub's repository."""

from collections.abc import Iterable
from pathlib import Path

from decant.data.files import Record, read_file
from decant.errors import DecantError


def read(root: Path, split: str, *, repository: bool) -> Iterable[Record]:
    """See `decant.fetch.build.Read`. A source that is one file has one split, of the file's name."""
    if repository:
        return _read_repository(root, split)
    if root.is_file() and split != root.name:
        raise DecantError(
            f"{root}: the source is one file, and a split names {split!r}",
            f"let `source` name the folder; or set `train` to {root.name}, and `test` to a number to carve from it",
        )
    return read_file(root if root.is_file() else root / split)


def _read_repository(folder: Path, split: str) -> Iterable[Record]:
    """Yield (place, record) from a downloaded repository, whatever files its split is kept in."""
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(str(folder), split=split)
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as error:
        raise DecantError(
            f"{folder}: the split {split!r} cannot be read ({error})",
            "correct the split's name in the set's `train`, `dev` or `test`",
        ) from error
    return ((f"split {split}, row {number}", record) for number, record in enumerate(loaded, start=1))
