"""Rows in any of the layouts of `decant.fetch.layouts`: a file or folder a split, or a hub's repository."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from decant.data.files import BatchRecord, Record, Unreadable, lines, read_batches
from decant.errors import DecantError
from decant.fetch.settings import DataSet

GPL = "gpl-training-data"  # the name that GPL gives the file (https://github.com/UKPLab/gpl)
DATA = {".parquet", ".arrow", ".json", ".jsonl", ".csv", ".tsv", ".txt", ".gz", ".zip", ".zst", ".xz", ".bz2"}
LARGE = 1 << 26  # bytes; 111 MB of Parquet took 259 MB of disk as Arrow, and the rows came no faster from there
GPL_COLUMNS = ("query_id", "positive_id", "negative_id", "margin")


def read(root: Path, split: str, settings: DataSet, *, repository: bool) -> Iterable[Record | BatchRecord]:
    """See `decant.fetch.build.Read`. A source that is one file has one split, of the file's name."""
    if repository:
        return ((f"split {split}, row {number}", row) for number, row in enumerate(HubRows(root, split), start=1))
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


class HubRows:
    """The rows of a downloaded repository's split, and config if it has several, whatever files they are kept in.

    Rows of Parquet files of more than `LARGE` bytes in all stream from them. Others go through the library's cache in
    Arrow, which finds columns and types out from all rows.

    Raises:
        DecantError: the split cannot be read; also while the rows are read.
    """

    def __init__(self, folder: Path, split: str, config: str | None = None) -> None:
        import datasets

        datasets.disable_progress_bars()
        self._where = f"{folder}: the split {split!r} {f'of {config} ' if config else ''}"
        self._faults = (ValueError, OSError, datasets.exceptions.DatasetsError)
        try:
            self._rows = datasets.load_dataset(str(folder), config, split=split, streaming=streams(folder))
        except self._faults as error:
            raise self._unreadable(error) from error
        self.column_names: list[str] = self._rows.column_names

    def __iter__(self) -> Iterator[dict[str, Any]]:
        rows = iter(self._rows)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except self._faults as error:
                raise self._unreadable(error) from error
            yield row

    def _unreadable(self, error: Exception) -> DecantError:
        return DecantError(
            f"{self._where}cannot be read ({error})",
            "correct the split's name in the set's `train`, `dev` or `test`, or download the data set again",
        )


def streams(folder: Path) -> bool:
    """Whether a repository's rows stream: it holds more than `LARGE` bytes of Parquet, and no data in other files."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix in DATA]
    return {path.suffix for path in files} == {".parquet"} and sum(path.stat().st_size for path in files) > LARGE
