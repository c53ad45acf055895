"""Every format gives the same rows, and every fault names its file, its line and its remedy."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.dataset import LABELLED, Row, Split, read_split, write_split
from decant.errors import DecantError
from decant.readers import read_beir, read_file
from decant.validation import validate

FUZZ = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

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
    "A.JSONL.GZ": write_jsonl_gz,  # as another system may spell it
    "A.CSV": write_csv,
}


def rows_of(path: Path, *, labelled: bool = True) -> list[Row]:
    return validate(read_file(path), "keep", labelled=labelled)[0]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path, name):
    WRITERS[name](tmp_path / name, ROWS)
    assert rows_of(tmp_path / name) == ROWS


def test_a_beir_folder_gives_the_same_rows(tmp_path):
    write_beir(tmp_path, ROWS)
    assert validate(read_beir(tmp_path, "test"), "refuse", labelled=True)[0] == ROWS


@pytest.mark.parametrize(
    "name, content",
    [
        ("mark.jsonl", b"\xef\xbb\xbf" + jsonl(ROWS)),  # a byte-order mark, as Windows editors write it
        ("mark.csv", b'\xef\xbb\xbfquery,positive,negative\nq,p,"[""n"", ""m""]"\n'),
        ("crlf.jsonl", b'{"query": "q", "positive": "p",\t"negative": ["n", "m"]}\r\n\r\n'),  # Windows line ends
        ("crlf.csv", b'query,positive,negative\r\nq,p,"[""n"", ""m""]"\r\n'),
        ("blank.jsonl", b'\n  \n{"query": "q", "positive": ["p"], "negative": ["n", "m"]}\n\n'),  # blank lines
        ("blank.csv", b'query,positive,negative\n\nq,p,"[""n"", ""m""]"\n\n'),
        ("last.jsonl", b'{"query": "q", "positive": ["p"], "negative": ["n", "m"]}'),  # no end to the last line
        ("more.csv", b'id,query,positive,negative\n7,q,p,"[""n"", ""m""]"\n'),  # a column that is nobody's business
    ],
)
def test_a_file_is_read_as_its_editor_meant_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    expected = ROWS if name == "mark.jsonl" else [Row("q", ["p"], ["n", "m"])]
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
        ("a.jsonl", LINE * 2 + b'{"query": "\xe9"}', "after line", "not UTF-8", "save the file as UTF-8"),
        # UTF-16, as Excel saves "Unicode text"
        ("a.csv", "query,positive,negative\n".encode("utf-16"), "after line 0", "not UTF-8", "save the file as UTF-8"),
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
        ("a.csv", b"question,good,bad\nq,p,n\n", "line 2", "there is no `query`", "name the columns"),
        # a header with white space
        ("a.csv", b"query, positive, negative\nq,p,n\n", "line 2", "there is no `positive`", "name the columns"),
        # semicolons
        ("a.csv", b"query;positive;negative\nq;p;n\n", "line 2", "there is no `query`", "name the columns"),
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
        ("a.csv", HEADER + b"q,[" + b"9" * 5000 + b"],n\n", "row 1 (line 2)", "not a JSON array", "JSON array"),
        # not Parquet
        ("a.parquet", LINE, "a.parquet", "not valid Parquet", "write the file again"),
        # nothing
        ("a.parquet", b"", "a.parquet", "not valid Parquet", "write the file again"),
        # another kind of file
        ("a.xlsx", b"PK", "a.xlsx", ".xlsx is not read", ".jsonl, .jsonl.gz, .csv or .parquet"),
        # no kind at all
        ("a", LINE, "/a", "without a suffix", ".jsonl"),
    ],
)
def test_a_fault_names_file_line_and_remedy(tmp_path, name, content, place, fault, remedy):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DecantError) as caught:
        rows_of(tmp_path / name)
    assert caught.value.problem.startswith(str(tmp_path / name))
    assert place in caught.value.problem
    assert fault in caught.value.problem
    assert remedy in caught.value.remedy


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


@pytest.mark.parametrize("path", ["missing.jsonl", "folder.jsonl"])
def test_a_missing_file_leads_to_the_params(tmp_path, path):
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DecantError, match="there is no such file") as caught:
        read_file(tmp_path / path)
    assert str(tmp_path / path) in caught.value.problem
    assert "params.yaml" in caught.value.remedy


def test_a_file_is_read_as_far_as_it_is_used(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINE * 3 + b"broken")
    records = read_file(tmp_path / "a.jsonl")
    assert [next(records)[0] for _ in range(3)] == [f"{tmp_path}/a.jsonl, line {number}" for number in (1, 2, 3)]
    with pytest.raises(DecantError, match="line 4"):
        next(records)


def test_beir_titles_stand_before_texts(tmp_path):
    write_beir(tmp_path, ROWS[:1])
    corpus = [("c0", "Title", "a positive"), ("c1", "", "a negative"), ("c2", " ", "another")]
    lines = [json.dumps({"_id": i, "title": title, "text": text}) for i, title, text in corpus]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    [(_, record)] = read_beir(tmp_path, "test")
    assert record["positive"] == ["Title a positive"]
    assert record["negative"] == ["a negative", "another"]


def test_beir_candidates_without_a_qrel_are_negative_and_positives_are_never_left_out(tmp_path):
    write_beir(tmp_path, ROWS[:1])
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS + "q0\tc0\t2\nq0\tc1\t0\n")
    (tmp_path / "candidates" / "test.tsv").write_text(CANDIDATES + "q0\tc2\nq0\tc1\n")
    [(place, record)] = read_beir(tmp_path, "test")
    assert "q0 of test" in place
    assert record == {"query": "plain", "positive": ["a positive"], "negative": ["another", "a negative"]}


@pytest.mark.parametrize(
    "file, content, place, fault, remedy",
    [
        ("corpus.jsonl", None, "corpus.jsonl", "no such file", ""),
        ("queries.jsonl", None, "queries.jsonl", "no such file", ""),
        ("qrels/test.tsv", None, "qrels/test.tsv", "no such file", "query-id, corpus-id, score"),
        ("candidates/test.tsv", None, "candidates/test.tsv", "no such file", "query-id, corpus-id"),
        # an id that is a number
        ("corpus.jsonl", '{"_id": 7, "text": "t"}', "line 1", "must be strings", "as strings"),
        # no text
        ("queries.jsonl", '{"_id": "q0"}', "line 1", "must be strings", "as strings"),
        ("queries.jsonl", '{"_id": "q0", "text": "q"}\n{', "line 2", "not valid JSON", ""),
        # TREC's four columns
        ("qrels/test.tsv", "q0\t0\tc0\t1\n", "line 1", "the header is", "query-id, corpus-id, score"),
        (
            "qrels/test.tsv",
            QRELS + "q99\tc0\t1\n",
            "line 2",
            "'q99' is not in queries.jsonl",
            "add it",
        ),
        (
            "qrels/test.tsv",
            QRELS + "q0\tc99\t1\n",
            "line 2",
            "'c99' is not in corpus.jsonl",
            "add it",
        ),
        ("qrels/test.tsv", QRELS + "q0\tc0\tyes\n", "line 2", "'yes' is not a number", "grade"),
        # spaces in place of tabs
        ("qrels/test.tsv", QRELS + "q0 c0 1\n", "line 2", "1 cells", "write 3"),
        ("candidates/test.tsv", CANDIDATES + "q0\tc0\nq99\tc0\n", "line 3", "'q99' is not in queries.jsonl", ""),
        ("candidates/test.tsv", CANDIDATES + "q0\tc99\n", "line 2", "'c99' is not in corpus.jsonl", "add it"),
        ("candidates/test.tsv", CANDIDATES + "q0\tc0\t1\n", "line 2", "3 cells", "write 2"),
        # candidates of which none is positive
        ("qrels/test.tsv", QRELS, "query-id q0 of test", "`positive` is empty", ""),
    ],
)
def test_a_fault_in_a_beir_folder_names_file_line_and_remedy(tmp_path, file, content, place, fault, remedy):
    write_beir(tmp_path, ROWS)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(DecantError) as caught:
        validate(read_beir(tmp_path, "test"), "refuse", labelled=True)
    assert caught.value.problem.startswith(str(tmp_path))
    assert file in caught.value.problem or "query-id q0" in caught.value.problem
    assert place in caught.value.problem
    assert fault in caught.value.problem
    assert remedy in caught.value.remedy


SUFFIXES = ["jsonl", "jsonl.gz", "csv", "parquet"]


def reads_or_tells(path: Path, content: bytes) -> None:
    """The one alternative to reading a file is a message that names it."""
    path.write_bytes(content)
    try:
        validate(read_file(path), "keep", labelled=False)
    except DecantError as error:
        told = error
    else:
        return
    assert str(path) in told.problem or "holds no row" in told.problem
    assert told.remedy


@pytest.mark.parametrize("suffix", SUFFIXES)
@FUZZ
@given(content=st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused_in_words(tmp_path, suffix, content):
    reads_or_tells(tmp_path / f"a.{suffix}", content)


@pytest.mark.parametrize("suffix", SUFFIXES)
@FUZZ
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
    kept=st.floats(0.5, 1),
)
def test_damaged_files_are_read_or_refused_in_words(tmp_path, suffix, changes, kept):
    sound = tmp_path / f"sound.{suffix}"
    WRITERS[f"a.{suffix}"](sound, ROWS)
    content = bytearray(sound.read_bytes())
    for place, byte in changes:
        content[int(place * len(content))] = byte
    reads_or_tells(tmp_path / f"a.{suffix}", bytes(content[: round(len(content) * kept) if kept < 0.9 else None]))


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
@FUZZ
@given(text=st.text(alphabet='{}[]",:\\\n\r qpn0é', max_size=60))
def test_text_in_the_formats_own_characters_is_read_or_refused_in_words(tmp_path, suffix, text):
    header = "query,positive,negative\n" if suffix == "csv" else ""
    reads_or_tells(tmp_path / f"a.{suffix}", (header + text).encode())


texts = st.text(min_size=1, max_size=20).filter(str.strip)


@st.composite
def rows(draw):
    candidates = draw(st.lists(texts, min_size=2, max_size=6, unique=True))
    cut = draw(st.integers(1, len(candidates) - 1))
    return Row(draw(texts), candidates[:cut], candidates[cut:])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet"])
@FUZZ
@given(written=st.lists(rows(), min_size=1, max_size=4, unique_by=lambda row: row.query))
def test_whatever_is_valid_survives_the_round_trip(tmp_path, name, written):
    WRITERS[name](tmp_path / name, written)
    assert rows_of(tmp_path / name) == written


@FUZZ
@given(
    written=st.lists(rows(), min_size=1, max_size=4),
    unlabelled=st.booleans(),
    task=st.text(max_size=20),
)
def test_a_fetched_split_survives_the_round_trip(tmp_path, written, unlabelled, task):
    if unlabelled:
        written = [Row(row.query, unlabelled=row.candidates) for row in written]
    write_split(tmp_path / "train.parquet", Split(written, task))
    assert read_split(tmp_path / "train.parquet") == Split(written, task)
    first = (tmp_path / "train.parquet").read_bytes()
    write_split(tmp_path / "train.parquet", Split(written, task))
    assert (tmp_path / "train.parquet").read_bytes() == first


def test_a_missing_split_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(DecantError, match="the split is not there") as caught:
        read_split(tmp_path / "own" / "train.parquet")
    assert "dvc repro fetch@own" in caught.value.remedy
