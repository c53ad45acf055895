"""Rows that come as batches give what they give one by one: rows, faults, card, and the bytes of the split."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.data import batches, compression, jsons, sets
from decant.errors import DecantError
from decant.fetch.build import Source, write_valid
from decant.fetch.layouts import read as layouts_read
from decant.fetch.settings import DataSet

FUZZ = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SEED = 'query {"with": 2} braces, "quotes" and a\\slash'
TEXTS = st.sampled_from(
    [
        "a",
        "A.",
        "b",
        "one two three four five six seven eight nine",
        "One, two three four five six seven eight NINE!",
        "one two three four five six seven eight ten",
        "eight letters the same",
        "eight letters thE same",
        "naïve café",
        "Naive cafe\u0301",
        "NAI\u0308VE CAFÉ",
        "ｏｎｅ two three four five six seven eight nine",
        "微分方程",
        "微分方程。",
        "\u3000",
        "\u200b",
        "\u00a0visible later",
        "\u00ad",
        "\ufe0f",
        "\u0000",
        " leading",
        "\x7f",
        "",
        "😀",
        "!!!",
        "? !",
        SEED,
    ]
) | st.text(max_size=12)
ODD = st.none() | st.integers() | st.booleans() | st.floats(allow_nan=False) | st.lists(TEXTS, max_size=2)
LISTS = st.lists(TEXTS | TEXTS | TEXTS | st.none() | st.integers(), max_size=5)
ROW = st.fixed_dictionaries({"query": TEXTS, "positive": LISTS, "negative": LISTS})
SOUND = st.builds(
    lambda query, texts: {"query": f"q {query}", "positive": texts[:1], "negative": texts[1:]},
    st.integers(0, 40),
    st.lists(st.integers(0, 300).map("text {} of many words".format), min_size=2, max_size=4, unique=True),
)
OTHER = st.dictionaries(st.sampled_from(["query", "positive", "negative", "extra", "query_id"]), TEXTS | LISTS | ODD)
LINES = st.one_of(
    SOUND.map(json.dumps),
    SOUND.map(json.dumps),
    SOUND.map(json.dumps),
    ROW.map(json.dumps),
    ROW.map(lambda row: json.dumps(row, ensure_ascii=False)),
    OTHER.map(json.dumps),
    st.sampled_from(
        [
            "",
            "  ",
            "\r",
            "{}",
            "null",
            "[1]",
            '{"query": "a"} {"query": "b"}',
            '{"query": "a",\n"positive": ["b"], "negative": ["c"]}',
            '{"query": "a"} {"query": "b"}\n{"query": "c",\n"positive": ["d"]}',
            '{"query": "a", "query": "b", "positive": ["c"], "negative": ["d"]}',
            '{"query": "half \\ud83d", "positive": ["c"], "negative": ["d"]}',
            '{"query": "half \\ude00", "positive": ["c"], "negative": ["d"]}',
            '{"query": "whole \\ud83d\\ude00", "positive": ["c"], "negative": ["d"]}',
            '{"query": "k", "positive": ["c"], "negative": ["d"]}\r',
            ' {"query": "l", "positive": ["c"], "negative": ["d"]}\t',
            '{"query": "m", "positive": ["c"], "negative": ["d"]} x',
            '{"query": "n", "positive": ["c"], "negative": ["d"]}\0',
            '{"query": "o", "positive": ["c"], "negative": "d"}',
            '{"query": "a\tb", "positive": ["c"], "negative": ["d"]}',
            '{"query": NaN}',
            '{"query": "broken',
        ]
    ),
)
FIRST = {"query": "first", "positive": ["yes"], "negative": ["no"]}


def fetched(folder: Path, name: str, **changes: Any) -> tuple[Any, ...] | str:
    """All that comes of a split: the bytes of its file, its faults, and what the card tells; or the message."""
    block = {"source": f"path:{folder / 'set'}", "train": name, "test": 1, "task": "t", "faults": "drop"}
    described = DataSet.model_validate({**block, "max_dropped": 1.0, **changes})
    source, path = Source(described, folder / "set"), folder / "train.parquet"
    try:
        faults = write_valid(source, "train", path)
    except DecantError as error:
        return str(error)
    return path.read_bytes(), faults.described(), faults.card(), faults.rows, faults.texts, source.__dict__


def both(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[Any, Any, list[int]]:
    """What comes of a split by batches and one by one, and the rows of each batch."""
    sizes: list[int] = []

    def parse(lines: bytes, schema: pa.Schema) -> pa.RecordBatch | None:
        rows = batches.parse(lines, schema)
        sizes.append(0 if rows is None else len(rows))
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(jsons, "parse", parse)
        fast = fetched(folder, name, **changes)
    with monkeypatch.context() as patch:
        patch.setattr(jsons, "parse", lambda *_: None)
        slow = fetched(folder, name, **changes)
    for outcome in (fast, slow):
        if isinstance(outcome, tuple):
            outcome[-1].pop("settings")
    return fast, slow, sizes


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is looked at before batches come, and these are small; so are groups of rows in a file."""
    monkeypatch.setattr(layouts_read, "PEEK", 1)
    monkeypatch.setattr(compression, "BLOCK", 300)
    monkeypatch.setattr(sets, "ROWS_WRITTEN_AT_ONCE", 3)


def write(folder: Path, lines: list[str], name: str = "own.jsonl") -> None:
    (folder / "set").mkdir(exist_ok=True)
    (folder / "set" / name).write_bytes("\n".join([json.dumps(FIRST), *lines]).encode(errors="surrogatepass"))


@FUZZ
@given(
    lines=st.lists(LINES, max_size=25),
    spelt=st.sampled_from([("query", "positive", "negative"), ("query", "pos", "neg"), ("Question", "good", "bad")]),
)
def test_batches_give_what_rows_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], spelt: tuple[str, str, str]
) -> None:
    columns = {"positive": "good", "negative": "bad"} if "good" in spelt else {}
    write(tmp_path, lines)
    path = tmp_path / "set" / "own.jsonl"
    content = path.read_bytes()
    for name, other in zip(("query", "positive", "negative"), spelt, strict=True):
        content = content.replace(f'"{name}":'.encode(), f'"{other}":'.encode())
    path.write_bytes(content)
    ignore = ["extra", "query_id"] if "good" in spelt else []
    fast, slow, _ = both(tmp_path, "own.jsonl", monkeypatch, columns=columns, ignore=ignore)
    assert fast == slow


def row(number: int, **changes: Any) -> str:
    texts = [f"text {number} {letter}" for letter in "abcdef"]
    return json.dumps({"query": f"query {number}", "positive": texts[:1], "negative": texts[1:], **changes})


FAULTS = {
    "half a pair": (row(40).replace("query 40", "\\ud83d"), "line 42: not valid JSON"),
    "a number": (row(40, query=7), "line 42: `query` is 7, not a string"),
    "no positive": (row(40, positive=[]), "rows without a positive: 1\n    {path}, line 42"),
    "invisible": (row(40, negative=["x", "\u3000"]), "line 42: `negative[1]` is"),
    "both lists": (row(40, negative=["x", "TEXT 40 A!"]), "line 42: 'TEXT 40 A!' is both positive (as 'text 40 a')"),
    "an earlier query": (row(40, query="query 3"), "line 42: the query 'query 3' is in an earlier row too"),
    "an earlier query in its batch": (row(40, query="query 39"), "line 42: the query 'query 39' is in an earlier row"),
    "a negative alone": (json.dumps({"negative": ["x"]}), "rows without a query: 1\n    {path}, line 42"),
}


@pytest.mark.parametrize(("line", "told"), FAULTS.values(), ids=FAULTS)
def test_a_bad_line_among_batches_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, told: str
) -> None:
    monkeypatch.setattr(compression, "BLOCK", 1000)
    write(tmp_path, [*map(row, range(40)), line, *map(row, range(41, 80))])
    fast, slow, sizes = both(tmp_path, "own.jsonl", monkeypatch)
    assert fast == slow
    assert told.format(path=tmp_path / "set" / "own.jsonl") in fast[1]
    assert sum(sizes) > 30


def test_near_duplicates_and_repeats_in_batches_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near = "ten words are enough to be near to others here"
    lines = [
        row(1, positive=[near], negative=[near.replace("ten", "six"), "far"]),
        row(2, positive=[near.upper()], negative=["far", f"“{near.replace('ten', 'six')}”"]),
        row(3, negative=["twice and long", "twice", "twice and long"]),
        row(4, positive=["twice", "other"], negative=["x", "twice"]),
        row(5, negative=["a", "b", "a"]),
        row(6, positive=["one wide word"], negative=["x", "ｏｎｅ　ｗｉｄｅ　ｗｏｒｄ"]),
    ]
    write(tmp_path, [*map(row, range(10, 20)), *lines])
    fast, slow, sizes = both(tmp_path, "own.jsonl", monkeypatch)
    assert fast == slow
    assert sum(sizes) >= 12
    assert (fast[2]["near_duplicates"], fast[2]["repeated_candidates"]) == (2, 2)
    assert fast[2]["faults"] == {"both_lists": 2}


PACKED = {"": lambda content: content, ".gz": gzip.compress, ".zst": lambda content: pa.compress(content, "zstd", True)}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "mark"])
@pytest.mark.parametrize("packed", PACKED)
def test_lines_of_any_file_come_as_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, mark: bytes, packed: str
) -> None:
    monkeypatch.setattr(compression, "BLOCK", 1000)
    content = end.join([json.dumps(FIRST), *map(row, range(60))]).encode()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / f"own.jsonl{packed}").write_bytes(PACKED[packed](mark + content))
    fast, slow, sizes = both(tmp_path, f"own.jsonl{packed}", monkeypatch)
    assert fast == slow
    assert fast[3] == 61
    assert sum(sizes) > 30


def test_all_shards_of_a_folder_come_as_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set" / "train").mkdir(parents=True)
    for shard in range(3):
        lines = "".join(f"{row(number)}\n" for number in range(20 * shard, 20 * shard + 20))
        (tmp_path / "set" / "train" / f"{shard}.jsonl").write_text(lines)
    fast, slow, sizes = both(tmp_path, "train", monkeypatch)
    assert fast == slow
    assert (fast[3], sum(sizes) >= 50) == (60, True)


@pytest.mark.parametrize("broken", [b'{"query": "\xff"}', b"\xff"])
def test_bytes_that_are_not_utf8_are_told_of_as_without_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bytes
) -> None:
    write(tmp_path, list(map(row, range(40))))
    path = tmp_path / "set" / "own.jsonl"
    path.write_bytes(path.read_bytes() + b"\n" + broken + b"\n" + row(50).encode())
    fast, slow, _ = both(tmp_path, "own.jsonl", monkeypatch)
    assert fast == slow
    assert "line 42: not UTF-8" in fast


def test_a_file_that_breaks_off_is_told_of_behind_its_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, list(map(row, range(400))))
    path = tmp_path / "set" / "own.jsonl"
    content = gzip.compress(path.read_bytes())
    (tmp_path / "set" / "own.jsonl.gz").write_bytes(content[: len(content) // 2])
    fast, slow, _ = both(tmp_path, "own.jsonl.gz", monkeypatch)
    assert fast == slow
    assert "broken gzip" in fast


@pytest.mark.parametrize("duplicates", ["keep", "merge"])
def test_rows_of_a_query_are_joined_without_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, duplicates: str
) -> None:
    write(tmp_path, [row(number % 7) for number in range(30)])
    fast, slow, sizes = both(tmp_path, "own.jsonl", monkeypatch, duplicates=duplicates)
    assert (fast, sizes) == (slow, [])


def test_batches_take_the_columns_that_rows_beside_them_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "ROWS_WRITTEN_AT_ONCE", 16)
    write(tmp_path, [*map(row, range(20)), row(20, query_id="id of 20"), *map(row, range(21, 60))])
    fast, slow, sizes = both(tmp_path, "own.jsonl", monkeypatch)
    assert fast == slow
    assert sum(sizes) > 30
    assert [each.query_id for each in sets.read_split(tmp_path / "train.parquet").rows if each.query_id] == ["id of 20"]


@pytest.mark.parametrize(
    "lines",
    [
        b'{"query": "a"} {"query": "b"}',
        b'{"query":\n"a"}',
        b'{"query": "a"} {"query": "b"}\n{"query":\n"c"}',  # as many objects as lines
        b'{"query": "a"}\n\n',
        b'{"query": "a"}\n \n{"query": "b"}',
        b'\n{"query": "a"}',
        b'{"query": "a"}\0',
        b'{"query": "\xff"}',
    ],
)
def test_lines_that_are_not_one_object_each_are_no_batch(lines: bytes) -> None:
    assert batches.parse(lines, sets.LABELLED) is None


def test_labelled_batches_do_not_mix_with_rows_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts_read, "PEEK", 3)
    alone = '{"query": "alone", "positive": null, "negative": []}'
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "own.jsonl").write_text("\n".join([alone, *map(row, range(30))]))
    fast, slow, sizes = both(tmp_path, "own.jsonl", monkeypatch)
    assert fast == slow
    assert (fast[2]["faults"], sum(sizes) > 20) == ({"mixed": 30}, True)


def test_prompts_beside_batches_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [row(number, **({"prompt": "find"} if number == 20 else {})) for number in range(40)]
    text = "\n".join([json.dumps(FIRST), *lines]).replace('"positive"', '"pos"').replace('"negative"', '"neg"')
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "own.jsonl").write_text(text)
    fast, slow, sizes = both(tmp_path, "own.jsonl", monkeypatch)
    assert fast == slow
    assert (fast[-1]["prompts"], sum(sizes) > 20) == ({"train": {"": 40, "find": 1}}, True)


def test_where_a_batch_ends_does_not_tell_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "ROWS_WRITTEN_AT_ONCE", 3000)
    monkeypatch.setattr(compression, "BLOCK", 1 << 17)
    write(tmp_path, [row(number, positive=[f"{number} " * 200]) for number in range(4000)])
    fast, slow, sizes = both(tmp_path, "own.jsonl", monkeypatch)
    assert fast == slow
    assert sum(sizes) > 3000
