"""Read a user's own reranking set: JSONL (plain or gzip), CSV, Parquet, or a BEIR-style folder."""

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from decant.errors import DecantError

Record = tuple[str, dict[str, Any]]


def read_file(path: Path) -> Iterator[Record]:
    """Yield (place, record) from a file with the columns query, positive and negative (or candidates).

    In CSV a list is a JSON array in its cell; a cell that does not stand in brackets is one text.

    Raises:
        DecantError: the file is missing, of another kind, or broken; the message names the line.
    """
    if not path.is_file():
        raise DecantError(f"{path}: there is no such file", "correct `source` or `splits` in params.yaml")
    name = path.name.lower()
    if name.endswith((".jsonl", ".jsonl.gz")):
        return _read_jsonl(path)
    if name.endswith(".csv"):
        return _read_csv(path)
    if name.endswith(".parquet"):
        return _read_parquet(path)
    raise DecantError(
        f"{path}: {path.suffix or 'a file without a suffix'} is not read", "use .jsonl, .jsonl.gz, .csv or .parquet"
    )


def read_texts(path: Path) -> Iterator[str]:
    """Yield the texts of a corpus; empty ones are passed over.

    A `.txt` file (plain or gzip) has one a line; of JSONL, CSV and Parquet it is the column `text`, after `title` where
    there is one, as in the corpus of a BEIR-style folder.

    Raises:
        DecantError: the file is missing, of another kind, or broken, or `text` is no string.
    """
    if path.is_file() and path.name.lower().endswith((".txt", ".txt.gz")):
        texts = (line.rstrip("\r\n") for _, line in _lines(path))
    else:
        texts = (_corpus_text(place, record) for place, record in read_file(path))
    return (text for text in texts if text.strip())


def _corpus_text(place: str, record: dict[str, Any]) -> str:
    text = record.get("text")
    if not isinstance(text, str):
        raise DecantError(f"{place}: `text` is {text!r:.60}, not a string", "name the column of the texts `text`")
    return _with_title(record.get("title"), text)


def _with_title(title: Any, text: str) -> str:
    return f"{title} {text}".strip() if isinstance(title, str) and title.strip() else text


def _lines(path: Path) -> Iterator[tuple[int, str]]:
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
    for number, line in _lines(path):
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
    reader = csv.DictReader((line for _, line in _lines(path)), strict=True)
    try:
        for number, cells in enumerate(reader, start=1):
            place = f"{path}, row {number} (line {reader.line_num})"
            if None in cells or None in cells.values():
                raise DecantError(
                    f"{place}: the row does not have as many cells as the header", "quote cells that hold commas"
                )
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
        file = pq.ParquetFile(path)
        number = 0
        for batch in file.iter_batches():
            for record in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", record
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        raise DecantError(f"{path}: not valid Parquet ({error})", "write the file again") from error


def read_beir(folder: Path, split: str) -> Iterator[Record]:
    """Yield (place, record) from a BEIR-style folder with a candidate list.

    The folder holds `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`),
    `qrels/<split>.tsv` (query-id, corpus-id, score) and `candidates/<split>.tsv` (query-id, corpus-id): the
    candidates to be ranked. A candidate with a qrel above 0 is a positive, every other one a negative;
    a positive that the candidate list leaves out is added to it.

    Raises:
        DecantError: a file is missing or broken, or an id is unknown.
    """
    corpus = dict(_texts_by_id(folder / "corpus.jsonl"))
    queries = dict(_texts_by_id(folder / "queries.jsonl"))
    positives: dict[str, dict[str, None]] = {}
    for place, (query, document, *score) in _read_tsv(
        folder / "qrels" / f"{split}.tsv", ("query-id", "corpus-id", "score")
    ):
        _known(place, query, queries, "queries.jsonl")
        _known(place, document, corpus, "corpus.jsonl")
        try:
            relevant = float(score[0]) > 0
        except ValueError as error:
            raise DecantError(f"{place}: the score {score[0]!r} is not a number", "write 0, 1 or a grade") from error
        if relevant:
            positives.setdefault(query, {})[document] = None
    candidates: dict[str, dict[str, None]] = {}
    for place, (query, document) in _read_tsv(folder / "candidates" / f"{split}.tsv", ("query-id", "corpus-id")):
        _known(place, query, queries, "queries.jsonl")
        _known(place, document, corpus, "corpus.jsonl")
        candidates.setdefault(query, {})[document] = None
    if unlisted := sorted(positives.keys() - candidates.keys()):
        raise DecantError(
            f"{folder}: query-id {unlisted[0]} of {split} has qrels and no candidates ({len(unlisted)} such queries)",
            f"add its candidates to candidates/{split}.tsv, or remove its qrels",
        )
    for query, listed in candidates.items():
        positive = positives.get(query, {})
        yield (
            f"{folder}, query-id {query} of {split}",
            {
                "query": queries[query],
                "positive": [corpus[document] for document in positive],
                "negative": [corpus[document] for document in listed if document not in positive],
            },
        )


def _texts_by_id(path: Path) -> Iterator[tuple[str, str]]:
    for place, record in read_file(path):
        identifier, text = record.get("_id"), record.get("text")
        if not isinstance(identifier, str) or not isinstance(text, str):
            raise DecantError(f"{place}: `_id` and `text` must be strings", "write both as strings")
        yield identifier, _with_title(record.get("title"), text)


def _read_tsv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    if not path.is_file():
        raise DecantError(
            f"{path}: there is no such file", f"write a tab-separated file with the header {', '.join(columns)}"
        )
    for number, line in _lines(path):
        cells = line.rstrip("\r\n").split("\t")
        if number == 1:
            if tuple(cells) != columns:
                raise DecantError(
                    f"{path}, line 1: the header is {cells}", f"write the header {', '.join(columns)}, tab-separated"
                )
        elif line.strip():
            if len(cells) != len(columns):
                raise DecantError(
                    f"{path}, line {number}: {len(cells)} cells", f"write {len(columns)}: {', '.join(columns)}"
                )
            yield f"{path}, line {number}", cells


def _known(place: str, identifier: str, known: dict[str, str], file: str) -> None:
    if identifier not in known:
        raise DecantError(f"{place}: the id {identifier!r} is not in {file}", f"add it to {file}, or remove the line")


def read_repository(folder: Path, split: str) -> Iterable[Record]:
    """Yield (place, record) from a downloaded hub data set, whatever files its split is kept in.

    Raises:
        DecantError: the folder has no such split.
    """
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(str(folder), split=split)
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as error:
        raise DecantError(
            f"{folder}: the split {split!r} cannot be read ({error})", "correct `splits` in params.yaml"
        ) from error
    return ((f"split {split}, row {number}", record) for number, record in enumerate(loaded, start=1))
