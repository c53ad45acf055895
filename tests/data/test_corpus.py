"""A corpus to mine is the same texts in every format, and every fault names its file and its line."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decant.data.files import read_texts
from decant.errors import DecantError
from tests.support.set_files import zstd

TEXTS = ["one", 'two, "2"', "3 三"]


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.txt", 'one\ntwo, "2"\n3 三\n'.encode()),
        ("a.txt", '\ufeffone\r\n\r\n  \ntwo, "2"\r\n3 三'.encode()),  # Windows, empty lines
        ("a.TXT.gz", gzip.compress('one\ntwo, "2"\n3 三\n'.encode(), mtime=0)),
        ("a.txt.zst", zstd('one\ntwo, "2"\n3 三\n'.encode())),
        ("a.txt", 'one\ntwo, "2"\n3 三\n'.encode("utf-16")),
        ("a.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in TEXTS).encode()),
        ("a.jsonl", "".join(json.dumps({"text": text, "id": 1}) + "\n" for text in [*TEXTS, " "]).encode()),  # empty
        ("a.csv", 'text\none\n"two, ""2"""\n3 三\n'.encode()),
        # a title stands before its text
        ("a.jsonl", b'{"text": "one"}\n{"title": "two,", "text": "\\"2\\""}\n{"title": "3", "text": "\xe4\xb8\x89"}'),
    ],
)
def test_a_corpus_is_read_from_every_format(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert list(read_texts(tmp_path / name)) == TEXTS


def test_a_corpus_is_read_from_parquet(tmp_path):
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "a.parquet")
    assert list(read_texts(tmp_path / "a.parquet")) == TEXTS


@pytest.mark.parametrize(
    "name, content, fault",
    [
        ("a.jsonl", b'{"text": "one"}\n{"passage": "two"}', r"a\.jsonl, line 2: `text` is None, not a string"),
        ("a.jsonl", b'{"text": ["one"]}', r"a\.jsonl, line 1: `text` is \['one'\], not a string"),
        ("a.csv", b"passage\none\n", r"a\.csv, row 1 .*`text` is None"),
        ("a.txt", b"one\n\xe9\n", r"a\.txt, line 2: not UTF-8"),
        ("a.docx", b"one\n", r"a\.docx: \.docx is not read"),
        ("a.jsonl", b'{"text": "one"}\n{', r"a\.jsonl, line 2: not valid JSON"),
    ],
)
def test_a_corpus_that_cannot_be_read_is_told(tmp_path, name, content, fault):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DecantError, match=fault):
        list(read_texts(tmp_path / name))
