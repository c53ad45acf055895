"""Read a user's own reranking set: JSONL (plain or gzip), CSV, Parquet, or a BEIR-style folder."""

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from decant.errors import DecantError

Record = tuple[str, dict[str, Any]]


class Unreadable(NamedTuple):
    """A row that cannot be read as a record: what is wrong with it, and what to do about it."""

    fault: str
    remedy: str


def read_file(path: Path) -> Iterator[Record]:
    """Yield (place, record) from a file with the columns query, positive and negative (or candidates).

    In CSV a list is a JSON array in its cell; a cell that does not stand in brackets is one text.

    Raises:
        DecantError: the file is missing, of another kind, or broken; the message names the line.
    """
    if not path.is_file():
        raise DecantError(f"{path}: there is no such file", "correct the set's block, or `mine.corpus`, in params.yaml")
    readers = {".jsonl": _read_jsonl, ".jsonl.gz": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
    for suffix, read in readers.items():
        if path.name.lower().endswith(suffix):
            return read(path)
    raise DecantError(
        f"{path}: {path.suffix or 'a file without a suffix'} is not read", "use .jsonl, .jsonl.gz, .csv or .parquet"
    )


def read_texts(path: Path) -> Iterator[str]:
    """Yield the texts of a corpus, without the empty ones.

    A `.txt` file (plain or gzip) has one a line; of JSONL, CSV and Parquet it is the column `text`, after `title` where
    there is one, as in the corpus of a BEIR-style folder.

    Raises:
        DecantError: the file is missing, of another kind, or broken, or `text` is no string.
    """
    if path.is_file() and path.name.lower().endswith((".txt", ".txt.gz")):
        texts = (line.rstrip("\r\n") for _, line in lines(path))
    else:
        texts = (_corpus_text(place, record) for place, record in read_file(path))
    return (text for text in texts if text.strip())


def _corpus_text(place: str, record: dict[str, Any]) -> str:
    text = record.get("text")
    if not isinstance(text, str):
        raise DecantError(f"{place}: `text` is {text!r:.60}, not a string", "name the column of the texts `text`")
    return with_title(record.get("title"), text)


def with_title(title: Any, text: str) -> str:
    """A document's title, if it has one, and its text."""
    return f"{title} {text}".strip() if isinstance(title, str) and title.strip() else text


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, plain or gzip, each with its number from 1."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                yield number, line
    except UnicodeDecodeError as error:
        raise DecantError(
            f"{path}, after line {number}: not UTF-8 ({error.reason})", "save the file as UTF-8"
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DecantError(f"{path}, after line {number}: broken gzip ({error})", "compress the file again") from error


def _read_jsonl(path: Path) -> Iterator[Record]:
    for number, line in lines(path):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError: a number of thousands of digits, too
            raise DecantError(f"{place}: not valid JSON ({error})", "write one JSON object a line") from error
        if not isinstance(record, dict):
            raise DecantError(f"{place}: {line.strip()[:60]} is not an object", "write one JSON object a line")
        yield place, record


def _read_csv(path: Path) -> Iterator[Record]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.DictReader((line for _, line in lines(path)), strict=True)
    try:
        for number, cells in enumerate(reader, start=1):
            place = f"{path}, row {number} (line {reader.line_num})"
            if None in cells or None in cells.values():
                fault = f"{place}: the row does not have as many cells as the header"
                raise DecantError(fault, "quote cells that hold commas")
            yield place, {key: cell if key == "query" else _cell(place, key, cell) for key, cell in cells.items()}
    except csv.Error as error:
        line = reader.reader.line_num  # DictReader's own count stands still until a row is whole
        raise DecantError(f"{path}, line {line}: not valid CSV ({error})", "mend the quoting") from error


def _cell(place: str, key: str, cell: str) -> Any:
    stripped = cell.strip()
    if not (stripped.startswith("[") and stripped.endswith("]")):
        return cell
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError) as error:
        raise DecantError(
            f"{place}: `{key}` stands in brackets, but is not a JSON array ({error})",
            'write lists as JSON arrays, such as ["one", "two"] (a list that Python printed is none)',
        ) from error


def _read_parquet(path: Path) -> Iterator[Record]:
    try:
        batches = pq.ParquetFile(path).iter_batches()
        for number, record in enumerate((record for batch in batches for record in batch.to_pylist()), start=1):
            yield f"{path}, row {number}", record
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        raise DecantError(f"{path}: not valid Parquet ({error})", "write the file again") from error
