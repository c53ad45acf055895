"""Read any file that people bring, or a folder of its shards, as records."""

from collections.abc import Callable, Iterator
from itertools import chain, starmap
from pathlib import Path
from typing import Any, NamedTuple, cast

from decant.data.batches import Batch as Batch
from decant.data.batches import BatchReader as BatchReader
from decant.data.batches import BatchRecord as BatchRecord
from decant.data.batches import Wanted as Wanted
from decant.data.compression import compression
from decant.data.delimited import check_delimiter, read_delimited
from decant.data.encodings import check_encoding
from decant.data.jsons import read_json, read_json_lines
from decant.data.lines import lines as lines
from decant.data.records import Record as Record
from decant.data.records import Unreadable as Unreadable
from decant.data.records import checked as checked
from decant.data.tables import read_arrow, read_parquet
from decant.errors import DecantError

_Read = Callable[[Path, str | None, str | None, Wanted], Iterator[Record | BatchRecord]]


class _Kind(NamedTuple):
    name: str
    read: _Read
    compressed: bool = True  # whether it may be compressed as a whole


_JSON_LINES = _Kind(".jsonl", lambda path, encoding, _, wanted: read_json_lines(path, encoding, wanted))
_ARROW = _Kind(".arrow", lambda path, *_: read_arrow(path), compressed=False)
KINDS = {
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".json": _Kind(".json", lambda path, encoding, _, wanted: read_json(path, encoding, wanted)),
    ".csv": _Kind(".csv", lambda path, encoding, delimiter, _: read_delimited(path, encoding, delimiter)),
    ".tsv": _Kind(".tsv", lambda path, encoding, delimiter, _: read_delimited(path, encoding, delimiter or "\t")),
    ".parquet": _Kind(".parquet", lambda path, *_: read_parquet(path), compressed=False),
    ".arrow": _ARROW,
    ".feather": _ARROW,
}
READ = ".jsonl, .ndjson, .json, .csv or .tsv (each also with .gz, .zst or .zstd), .parquet, .arrow or .feather"
# Files that describe the shards beside them; `datasets` writes the JSON ones.
NO_SHARDS = {"readme", "license", "licence", "notice", "dataset_info", "dataset_infos", "dataset_dict", "state"}


def read_file(path: Path, encoding: str | None = None, delimiter: str | None = None) -> Iterator[Record]:
    """Yield (place, record) from a file, or from a folder of shards, one after another by their names.

    A line or a row that cannot be read is `Unreadable`, and reading goes on behind it. In CSV a list is a JSON array
    in its cell; see `decant.data.cells`.

    Args:
        path: of the file or the folder.
        encoding: of a text file, one of Python's codecs; without one UTF-8, or UTF-16 with a byte-order mark.
        delimiter: of the cells in CSV and TSV; without one the header tells, and in TSV it is the tab.

    Raises:
        DecantError: the file is missing, of another kind, or broken; the message names the line.
    """
    return cast(Iterator[Record], read_batches(path, encoding, delimiter).records)


def read_batches(path: Path, encoding: str | None = None, delimiter: str | None = None) -> BatchReader:
    """As `read_file`, but lines of JSON come as batches as soon as the reader's schema is set."""
    if encoding is not None:
        check_encoding(encoding)
    if delimiter is not None:
        check_delimiter(delimiter)
    wanted = Wanted()

    def read(path: Path, kind: _Kind) -> Iterator[Record | BatchRecord]:
        return kind.read(path, encoding, delimiter, wanted)

    if path.is_dir():
        return BatchReader(wanted, chain.from_iterable(starmap(read, _shards(path))))
    if not path.is_file():
        raise DecantError(f"{path}: there is no such file", "correct the set's block, or `mine.corpus`, in params.yaml")
    if kind := _kind(path):
        return BatchReader(wanted, read(path, kind))
    raise DecantError(f"{path}: {path.suffix or 'a file without a suffix'} is not read", f"use {READ}")


def _kind(path: Path) -> _Kind | None:
    plain = path.with_suffix("") if compression(path) else path
    kind = KINDS.get(plain.suffix.lower())
    return kind if kind and (kind.compressed or plain == path) else None


def _shards(folder: Path) -> list[tuple[Path, _Kind]]:
    """The files of a folder with their one kind, by name.

    Raises:
        DecantError: there are none, they are of several kinds, or something in the folder is not read.
    """
    paths = [path for path in sorted(folder.iterdir()) if not _stands_beside(path)]
    shards = [(path, kind) for path in paths if path.is_file() and (kind := _kind(path))]
    if not shards:
        raise DecantError(f"{folder}: the folder holds no file that is read", f"name a file, or a folder of {READ}")
    others = {path.name for path in paths} - {path.name for path, _ in shards}
    if others or len({kind.name for _, kind in shards}) > 1:
        names = [path.name for path in paths]
        raise DecantError(
            f"{folder}: the folder holds more than shards of one kind: {_listed(names)}",
            "name one file, or move what is no shard to another folder",
        )
    return shards


def _stands_beside(path: Path) -> bool:
    """Whether a file is no shard: hidden, or about the shards."""
    name = path.name.lower()
    return (
        name.startswith((".", "_"))
        or (path.is_file() and path.suffix.lower() in (".md", ".txt"))
        or (path.suffix.lower() in ("", ".json") and name.partition(".")[0] in NO_SHARDS)
    )


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def read_texts(path: Path) -> Iterator[str]:
    """Yield the texts of a corpus, without the empty ones.

    A `.txt` file (plain or compressed) has one a line; of every other kind it is the column `text`, after `title` where
    there is one, as in the corpus of a BEIR-style folder.

    Raises:
        DecantError: the file is missing, of another kind, or broken, a record is unreadable, or `text` is no string.
    """
    plain = path.with_suffix("") if compression(path) else path
    if path.is_file() and plain.suffix.lower() == ".txt":
        texts = (line.rstrip("\r\n") for _, line in lines(path))
    else:
        texts = (_corpus_text(place, record) for place, record in checked(read_file(path)))
    return (text for text in texts if text.strip())


def _corpus_text(place: str, record: dict[str, Any]) -> str:
    text = record.get("text")
    if not isinstance(text, str):
        raise DecantError(f"{place}: `text` is {text!r:.60}, not a string", "name the column of the texts `text`")
    return with_title(record.get("title"), text)


def with_title(title: Any, text: str) -> str:
    """A document's title, if it has one, and its text."""
    return f"{title} {text}".strip() if isinstance(title, str) and title.strip() else text
