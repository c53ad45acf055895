"""Rows, and files of every format with them."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.files import read_file
from decant.data.sets import LABELLED, Row
from tests.support.validated import validated

ROWS = [
    Row("plain", ["a positive"], ["a negative", "another"]),
    Row('with "quotes", commas; and\ttabs', ["a, b", 'c "d"'], ["[not a list"]),
    Row("two\nlines", ["one\r\ntwo", "\u2028 a line to Unicode only"], ["x\ny\n"]),
    Row("多语言 ünïcode 🙂", ["è", "ß"], ["\ufeffmark", "e\u0301"]),
    Row("[1, 2]", ["null"], ["0", "true", "  kept white space "]),
]

QRELS = "query-id\tcorpus-id\tscore\n"
CANDIDATES = "query-id\tcorpus-id\n"


def write_jsonl(path: Path, rows: list[Row]) -> None:
    path.write_bytes(jsonl(rows))


def jsonl(rows: list[Row]) -> bytes:
    lines = [json.dumps({k: getattr(row, k) for k in LABELLED.names}, ensure_ascii=False) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode()


def write_jsonl_gz(path: Path, rows: list[Row]) -> None:
    path.write_bytes(gzip.compress(jsonl(rows)))


def write_csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["query", "positive", "negative"])
        writer.writerows([row.query, json.dumps(row.positive), json.dumps(row.negative)] for row in rows)


def zstd(content: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, "zstd") as file:
        file.write(content)
    return buffer.getvalue().to_pybytes()


def write_jsonl_zst(path: Path, rows: list[Row]) -> None:
    path.write_bytes(zstd(jsonl(rows)))


def write_json(path: Path, rows: list[Row]) -> None:
    records = [{name: getattr(row, name) for name in LABELLED.names} for row in rows]
    path.write_text(json.dumps(records, indent=2), encoding="utf-8")


def write_tsv(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(LABELLED.names)
        writer.writerows([row.query, json.dumps(row.positive), json.dumps(row.negative)] for row in rows)


def write_arrow(path: Path, rows: list[Row]) -> None:
    columns = {name: [getattr(row, name) for row in rows] for name in LABELLED.names}
    table = pa.table(columns, schema=LABELLED)
    new = pa.ipc.new_stream if path.name.startswith("stream") else pa.ipc.new_file
    with new(str(path), LABELLED) as file:
        file.write_table(table)


def write_parquet(path: Path, rows: list[Row]) -> None:
    columns = {name: [getattr(row, name) for row in rows] for name in LABELLED.names}
    pq.write_table(pa.table(columns, schema=LABELLED), path)


def write_beir(folder: Path, rows: list[Row]) -> None:
    texts = list(dict.fromkeys(text for row in rows for text in row.candidates))
    (folder / "qrels").mkdir(parents=True)
    (folder / "candidates").mkdir()
    for name, values in (("queries", [row.query for row in rows]), ("corpus", texts)):
        lines = [json.dumps({"_id": f"{name[0]}{number}", "text": text}) for number, text in enumerate(values)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    pairs = [(f"q{number}", f"c{texts.index(text)}", row) for number, row in enumerate(rows) for text in row.candidates]
    qrels = [f"{q}\t{c}\t{int(texts[int(c[1:])] in row.positive)}" for q, c, row in pairs]
    (folder / "qrels" / "test.tsv").write_text(QRELS + "\n".join(qrels))
    (folder / "candidates" / "test.tsv").write_text(CANDIDATES + "\n".join(f"{q}\t{c}" for q, c, _ in pairs))


WRITERS: dict[str, Callable[[Path, list[Row]], None]] = {
    "a.jsonl": write_jsonl,
    "a.jsonl.gz": write_jsonl_gz,
    "a.csv": write_csv,
    "a.parquet": write_parquet,
    "a.ndjson": write_jsonl,
    "a.jsonl.zst": write_jsonl_zst,
    "lines.json": write_jsonl,
    "a.json": write_json,
    "a.tsv": write_tsv,
    "a.arrow": write_arrow,
    "stream.arrow": write_arrow,
    "a.feather": write_arrow,
    "A.JSONL.GZ": write_jsonl_gz,  # as another system may spell it
    "A.CSV": write_csv,
}


def rows_of(path: Path, *, labelled: bool = True) -> list[Row]:
    return validated(read_file(path), "keep", labelled=labelled)[0]
