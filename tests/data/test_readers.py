"""Every format gives the same rows, and every fault names its file, its line and its remedy."""

import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decant.data.files import checked, read_file
from decant.data.sets import LABELLED, Row, read_split
from decant.errors import DecantError
from tests.support.set_files import ROWS, WRITERS, jsonl, rows_of


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path, name):
    WRITERS[name](tmp_path / name, ROWS)
    assert rows_of(tmp_path / name) == ROWS


@pytest.mark.parametrize(
    "name, content",
    [
        ("mark.jsonl", b"\xef\xbb\xbf" + jsonl(ROWS)),  # a byte-order mark, as Windows editors write it
        ("mark.csv", b'\xef\xbb\xbfquery,positive,negative\nq,p,"[""n"", ""m""]"\n'),
        ("crlf.jsonl", b'{"query": "q", "positive": "p",\t"negative": ["n", "m"]}\r\n\r\n'),  # Windows line ends
        ("crlf.csv", b'query,positive,negative\r\nq,p,"[""n"", ""m""]"\r\n'),
        ("blank.jsonl", b'\n  \n{"query": "q", "positive": ["p"], "negative": ["n", "m"]}\n\n'),  # blank lines
        ("blank.csv", b'query,positive,negative\n\nq,p,"[""n"", ""m""]"\n\n'),
        ("semicolons.csv", b'query;positive;negative\nq;p;"[""n"", ""m""]"\n'),
        ("tabs.csv", 'query\tpositive\tnegative\nq\tp\t"[""n"", ""m""]"\n'.encode("utf-16")),  # Excel's "Unicode text"
        ("last.jsonl", b'{"query": "q", "positive": ["p"], "negative": ["n", "m"]}'),  # no end to the last line
        ("blanks.csv", b'query, positive, negative\nq,p,"[""n"", ""m""]"\n'),  # blanks in the header
        ("more.csv", b'id,query,positive,negative\n7,q,p,"[""n"", ""m""]"\n'),  # a column of ids
    ],
)
def test_a_file_is_read_as_its_editor_meant_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    query_id = "7" if name == "more.csv" else ""
    expected = ROWS if name == "mark.jsonl" else [Row("q", ["p"], ["n", "m"], query_id=query_id)]
    assert rows_of(tmp_path / name) == expected


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.jsonl", b'{"query": "q", "candidates": ["a", "b"]}'),
        ("a.jsonl", b'{"query": "q", "candidates": ["a", "b"], "positive": null, "negative": null}'),  # merged files
        ("a.csv", b'query,candidates\nq,"[""a"", ""b""]"\n'),
    ],
)
def test_unlabelled_candidates_are_read(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert rows_of(tmp_path / name, labelled=False) == [Row("q", unlabelled=["a", "b"])]


def test_parquet_of_every_layout_is_read(tmp_path):
    large = pa.large_list(pa.large_string())
    columns = {
        "query": pa.array(["q", "r"]).dictionary_encode(),
        "positive": pa.array([["p"], ["p"]], large),
        "negative": [["n", "m"], ["n"]],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=1)
    assert rows_of(tmp_path / "a.parquet") == [Row("q", ["p"], ["n", "m"]), Row("r", ["p"], ["n"])]


LINE = b'{"query": "q", "positive": ["p"], "negative": ["n"]}\n'
HEADER = b"query,positive,negative\n"


@pytest.mark.parametrize(
    "name, content, place, fault, remedy",
    [
        # a broken line, counted with blank ones
        ("a.jsonl", LINE + b'\n{"query": \n', "line 3", "not valid JSON", "one JSON object a line"),
        # a pretty-printed file: an object over several lines
        ("a.jsonl", b'{\n"query": "q"\n}', "line 1", "not valid JSON", "one JSON object a line"),
        # a JSON array in place of lines
        ("a.jsonl", b'[{"query": "q"}]', "line 1", "is not an object", "one JSON object a line"),
        # brackets nested until the parser gives up
        ("a.jsonl", b"[" * 100_000, "line 1", "not valid JSON", "one JSON object a line"),
        # a number longer than Python converts
        ("a.jsonl", LINE + b'{"query": ' + b"9" * 5000 + b"}", "line 2", "not valid JSON", "one JSON object a line"),
        # Latin-1
        ("a.jsonl", LINE * 2 + b'{"query": "\xe9"}', "line 3", "likely cp1252", "iconv -f CP1252 -t UTF-8"),
        # UTF-16 that does not say so
        ("a.csv", HEADER.decode().encode("utf-16-le"), "a.csv", "likely utf-16-le", "`encoding: utf-16-le`"),
        # not compressed at all
        ("a.jsonl.gz", LINE, "after line 0", "broken gzip", "compress"),
        # cut off
        ("a.jsonl.gz", gzip.compress(LINE * 50, mtime=0)[:-9], "after line", "broken gzip", "compress"),
        # damaged inside, under a sound header
        (
            "a.jsonl.gz",
            gzip.compress(LINE, mtime=0)[:10] + b"\xff" * 30,
            "after line 0",
            "broken gzip",
            "compress the file again",
        ),
        # another header
        ("a.csv", b"question,good,bad\nq,p,n\n", "line 2", "the columns `good` and `bad`", "columns: {positive: good"),
        # a short row
        ("a.csv", HEADER + b"q,p,n\nr,p\n", "row 2 (line 3)", "as many cells as the header", "quote cells"),
        # a long one: a comma that is not quoted
        ("a.csv", HEADER + b"q,p,n, m\n", "row 1 (line 2)", "as many cells as the header", "quote cells"),
        # a quoted cell that never ends
        ("a.csv", HEADER + b'q,p,n\n"r,p,n\n', "line 3", "not valid CSV", "quoting"),
        # text after a closing quote
        ("a.csv", HEADER + b'"q" x,p,n\n', "line 2", "not valid CSV", "quoting"),
        # line ends of an old Macintosh
        ("a.csv", b"query,positive,negative\rq,p,n\r", "line 1", "not valid CSV", ""),
        # a list that pandas wrote, which is Python and no JSON
        ("a.csv", HEADER + b"\"q\",\"['a', 'b']\",n\n", "row 1 (line 2)", "not a JSON array", "JSON array"),
        # a list with a number longer than Python converts
        (
            "a.csv",
            HEADER + b'q,"[""p""]",n\nr,[' + b"9" * 5000 + b"],n\n",
            "row 2 (line 3)",
            "not a JSON array",
            "JSON array",
        ),
        # not Parquet
        ("a.parquet", LINE, "a.parquet", "not valid Parquet", "write the file again"),
        # nothing
        ("a.parquet", b"", "a.parquet", "not valid Parquet", "write the file again"),
        # another kind of file
        ("a.xlsx", b"PK", "a.xlsx", ".xlsx is not read", ".jsonl, .ndjson, .json, .csv or .tsv"),
        # no kind at all
        ("a", LINE, "/a", "without a suffix", ".jsonl"),
    ],
)
def test_a_fault_names_file_line_and_remedy(tmp_path, name, content, place, fault, remedy):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DecantError) as caught:
        rows_of(tmp_path / name)
    assert str(tmp_path / name) in caught.value.problem
    assert place in caught.value.problem
    assert fault in caught.value.problem
    assert remedy in f"{caught.value.problem} {caught.value.remedy}"


def damaged_parquet(place: int) -> bytes:
    buffer = io.BytesIO()
    columns = {"query": ["q"] * 9, "positive": [["é"]] * 9, "negative": [["n"]] * 9}
    pq.write_table(pa.table(columns, schema=LABELLED), buffer, compression="zstd")
    content = bytearray(buffer.getvalue())
    content[place] ^= 0xFF
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        damaged_parquet(-60),  # in the schema
        damaged_parquet(10),  # in the first page's header
        damaged_parquet(40),  # in what is compressed
        damaged_parquet(-6),  # in the footer's length
        damaged_parquet(0)[:60],  # cut off
    ],
)
def test_a_damaged_parquet_file_is_told_in_words(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DecantError, match="not valid Parquet"):
        rows_of(tmp_path / "a.parquet")


def test_parquet_with_bytes_that_are_no_text_is_told_in_words(tmp_path):
    broken = pa.array([b"\xff\xfe"]).view(pa.string())
    pq.write_table(pa.table({"query": broken, "positive": [["p"]], "negative": [["n"]]}), tmp_path / "a.parquet")
    with pytest.raises(DecantError) as caught:
        rows_of(tmp_path / "a.parquet")
    assert str(tmp_path / "a.parquet") in caught.value.problem


def test_a_missing_file_leads_to_the_params(tmp_path):
    path = "missing.jsonl"
    with pytest.raises(DecantError, match="there is no such file") as caught:
        read_file(tmp_path / path)
    assert str(tmp_path / path) in caught.value.problem
    assert "params.yaml" in caught.value.remedy


def test_a_file_is_read_as_far_as_it_is_used(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINE * 3 + b"broken")
    records = checked(read_file(tmp_path / "a.jsonl"))
    assert [next(records)[0] for _ in range(3)] == [f"{tmp_path}/a.jsonl, line {number}" for number in (1, 2, 3)]
    with pytest.raises(DecantError, match="line 4"):
        next(records)


def test_a_missing_split_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(DecantError, match="the split is not there") as caught:
        read_split(tmp_path / "own" / "train.parquet")
    assert "dvc repro fetch@own" in caught.value.remedy
