"""Rows in any of the layouts of `decant.fetch.layouts`: a file or folder a split, or a hub's repository."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from decant.data.files import BatchRecord, Record, Unreadable, lines, read_batches
from decant.errors import DecantError
from decant.fetch.settings import DataSet

GPL = "gpl-training-data"  # the name that GPL gives the file (https://github.com/UKPLab/gpl)
GPL_COLUMNS = ("query_id", "positive_id", "negative_id", "margin")


def read(root: Path, split: str, settings: DataSet, *, repository: bool) -> Iterable[Record | BatchRecord]:
    """See `decant.fetch.build.Read`. A source that is one file has one split, of the file's name."""
    if repository:
        return ((f"split {split}, row {number}", row) for number, row in enumerate(load(root, split), start=1))
    if root.is_file() and split != root.name:
        raise DecantError(
            f"{root}: the source is one file, and a split names {split!r}",
            f"let `source` name the folder; or set `train` to {root.name}, and `test` to a number to carve from it",
        )
    path = root if root.is_file() else root / split
    if path.name.startswith(GPL) and path.is_file():
        return _read_gpl(path)
    return read_batches(path, settings.encoding)


def _read_gpl(path: Path) -> Iterator[Record]:
    """The rows of GPL's training data, which have no header: ids of a query and two documents, and a margin."""
    for number, line in lines(path):
        cells = line.rstrip("\r\n").split("\t")
        place = f"{path}, line {number}"
        if len(cells) == len(GPL_COLUMNS):
            yield place, dict(zip(GPL_COLUMNS, cells, strict=True))
        elif line.strip():
            yield place, Unreadable(f"{len(cells)} cells", f"write {', '.join(GPL_COLUMNS)}, separated by tabs")


def load(folder: Path, split: str, config: str | None = None) -> Any:
    """The rows of a downloaded repository's split, and config if it has several, whatever files they are kept in."""
    import datasets

    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(str(folder), config, split=split)
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as error:
        raise DecantError(
            f"{folder}: the split {split!r} {f'of {config} ' if config else ''}cannot be read ({error})",
            "correct the split's name in the set's `train`, `dev` or `test`, or download the data set again",
        ) from error
