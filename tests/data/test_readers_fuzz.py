"""Whatever a file holds, it is read or refused in words; and what is valid survives the round trip."""

import contextlib
import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.data.files import Unreadable, read_file
from decant.data.sets import Row, Split, normalise, read_split, write_split
from decant.errors import DecantError
from decant.fetch.texts import VISIBLE
from tests.support.set_files import ROWS, WRITERS, rows_of
from tests.support.validated import validated

FUZZ = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

NAMES = {
    "jsonl": "a.jsonl",
    "jsonl.gz": "a.jsonl.gz",
    "jsonl.zst": "a.jsonl.zst",
    "json": "a.json",
    "csv": "a.csv",
    "tsv": "a.tsv",
    "parquet": "a.parquet",
    "arrow": "a.arrow",
    "feather": "stream.arrow",
}
SUFFIXES = list(NAMES)


def reads_or_tells(path: Path, content: bytes) -> None:
    """The one alternative to reading a file is a message that names it."""
    path.write_bytes(content)
    try:
        validated(read_file(path), "keep", labelled=False)
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
    WRITERS[NAMES[suffix]](sound, ROWS)
    content = bytearray(sound.read_bytes())
    for place, byte in changes:
        content[int(place * len(content))] = byte
    reads_or_tells(tmp_path / f"a.{suffix}", bytes(content[: round(len(content) * kept) if kept < 0.9 else None]))


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv"])
@FUZZ
@given(text=st.text(alphabet='{}[]",:\\\n\r qpn0é', max_size=60))
def test_text_in_the_formats_own_characters_is_read_or_refused_in_words(tmp_path, suffix, text):
    header = "query,positive,negative\n" if suffix == "csv" else ""
    reads_or_tells(tmp_path / f"a.{suffix}", (header + text).encode())


# Without control characters, of which alone no text is made.
characters = st.characters(exclude_categories=("Cs", "Cc", "Cf"))
texts = st.text(characters, min_size=1, max_size=20).filter(
    lambda text: any(char.isalnum() and VISIBLE.match(char) for char in text)
)


@st.composite
def rows(draw):
    candidates = draw(st.lists(texts, min_size=2, max_size=6, unique_by=normalise))
    cut = draw(st.integers(1, len(candidates) - 1))
    return Row(draw(texts), candidates[:cut], candidates[cut:])


@pytest.mark.parametrize("name", NAMES.values())
@FUZZ
@given(written=st.lists(rows(), min_size=1, max_size=4, unique_by=lambda row: row.query))
def test_whatever_is_valid_survives_the_round_trip(tmp_path, name, written):
    WRITERS[name](tmp_path / name, written)
    assert rows_of(tmp_path / name) == written


@FUZZ
@given(
    lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=8), final=st.booleans()
)
def test_each_line_that_is_not_blank_is_a_record_or_is_unreadable(tmp_path, lines, final):
    content = b"\n".join(b'{"a": "' + line + b'"}' if line else line for line in lines) + b"\n" * final
    (tmp_path / "a.jsonl").write_bytes(content)
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        with pytest.raises(DecantError, match=f"line {line}: not UTF-8"):
            list(read_file(tmp_path / "a.jsonl"))
    else:
        assert len(list(read_file(tmp_path / "a.jsonl"))) == sum(map(bool, lines))


@FUZZ
@given(rows=st.lists(st.lists(st.text(max_size=6), min_size=1, max_size=5), max_size=6))
def test_each_row_of_a_table_is_a_record_or_is_unreadable(tmp_path, rows):
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["query", "positive", "negative"], *rows])
    records = list(read_file(tmp_path / "a.csv"))
    assert len(records) == len(rows)
    assert all(isinstance(r, Unreadable) for (_, r), row in zip(records, rows, strict=True) if len(row) != 3)


@FUZZ
@given(items=st.lists(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4)))
def test_each_item_of_an_array_is_a_record_or_is_unreadable(tmp_path, items):
    items = [{"a": item} if index % 2 else item for index, item in enumerate(items)]
    (tmp_path / "a.json").write_text(json.dumps(items, ensure_ascii=False), encoding="utf-8")
    records = [record for _, record in read_file(tmp_path / "a.json")]
    assert len(records) == len(items)
    assert [r for r in records if not isinstance(r, Unreadable)] == [item for item in items if isinstance(item, dict)]


@FUZZ
@given(
    content=st.binary(max_size=200), encoding=st.sampled_from(["gbk", "latin-1", "utf-16", "utf-16-be", "hz", "utf-7"])
)
def test_arbitrary_bytes_in_any_encoding_are_read_or_refused_in_words(tmp_path, content, encoding):
    (tmp_path / "a.csv").write_bytes(content)
    with contextlib.suppress(DecantError):
        texts = "".join(str(record) for record in read_file(tmp_path / "a.csv", encoding))
        assert "\ufffd" not in texts or "\ufffd" in content.decode(encoding)


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
