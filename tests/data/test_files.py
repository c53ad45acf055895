"""Files of every kind, compressed or not, and folders of shards are read as records within bounded memory."""

import gzip
import json
import os
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decant.data import lines as lines_module
from decant.data.files import Unreadable, checked, read_file
from decant.errors import DecantError
from tests.support.set_files import zstd


def records(path, *arguments):
    return [record for _, record in read_file(path, *arguments)]


def test_a_line_that_is_no_record_does_not_end_the_file(tmp_path):
    content = b'{"a": 1}\n{"a": NaN}\n[1]\n{"a": "\\ud800"}\n{"a": \n\n{"a": 2}'
    (tmp_path / "a.jsonl").write_bytes(content)
    read = list(read_file(tmp_path / "a.jsonl"))
    assert [place.rpartition(" ")[2] for place, _ in read] == ["1", "2", "3", "4", "5", "7"]
    assert [record for _, record in read if isinstance(record, dict)] == [{"a": 1}, {"a": 2}]
    reasons = [record.fault for _, record in read if isinstance(record, Unreadable)]
    for reason, word in zip(reasons, ["NaN", "[1] is not an object", "surrogate", "not valid JSON"], strict=True):
        assert word in reason
    with pytest.raises(DecantError, match=r"a\.jsonl, line 2: not valid JSON \(NaN"):
        list(checked(read))


def test_integers_of_any_length_are_exact(tmp_path):
    values = {"id": 2**70, "ids": ["a", -(2**66)], "nested": [{"id": 10**30}], "float": 1.5e300, "small": 2**63}
    (tmp_path / "a.jsonl").write_text(json.dumps(values))
    (tmp_path / "a.json").write_text(json.dumps([values]))
    assert records(tmp_path / "a.jsonl") == records(tmp_path / "a.json") == [values]


@pytest.mark.parametrize(
    "content, expected",
    [
        ('[{"a": 1}, {"a": [2, {}]}]', [{"a": 1}, {"a": [2, {}]}]),
        (' \n[\n  {"a": "]},"}\n]\n\n', [{"a": "]},"}]),
        ("[]", []),
        ('{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ('\n{"a": 1}', [{"a": 1}]),
        ("", []),
    ],
)
def test_json_is_an_array_of_objects_or_one_object_a_line(tmp_path, content, expected):
    (tmp_path / "a.json").write_text(content)
    assert records(tmp_path / "a.json") == expected


@pytest.mark.parametrize(
    "content, line, fault",
    [
        ('{\n  "a": 1\n}', 1, "neither an array of objects nor one object a line"),
        ('[\n{"a": 1},\n{"a": }\n]', 3, "not valid JSON"),
        ('[\n{"a": 1}\n{"a": 2}]', 3, "',' is missing"),
        ('[\n{"a": 1},\n', 3, "not valid JSON"),
        ('[\n{"a": 1}', 2, "',' is missing"),
        ('[{"a": "never', 1, "Unterminated string"),
        ('[{"a": 1}]\n[', 2, "more after the end of the array"),
        ("[" * 100_000, 1, "nesting is too deep"),
    ],
)
def test_an_array_that_is_broken_is_told_with_its_line(tmp_path, content, line, fault):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DecantError) as caught:
        records(tmp_path / "a.json")
    assert f"a.json, line {line}: " in caught.value.problem
    assert fault in caught.value.problem


def test_an_item_of_an_array_that_is_no_object_does_not_end_the_file(tmp_path):
    (tmp_path / "a.json").write_text('[{"a": 1},\n 7,\n {"a": NaN},\n {"a": 2}]')
    read = list(read_file(tmp_path / "a.json"))
    assert [isinstance(record, Unreadable) for _, record in read] == [False, True, True, False]
    assert read[1][0] == f"{tmp_path}/a.json, row 2 (line 2)"


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv", "a.parquet", "a.arrow"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    path = tmp_path / name
    rows = [{"text": "word " * 400}] * 12_000  # 24 MB
    table = pa.table({"text": [row["text"] for row in rows]})
    if name == "a.parquet":
        pq.write_table(table, path, compression="none", use_dictionary=False, row_group_size=1000)
    elif name == "a.arrow":
        with pa.ipc.new_stream(str(path), table.schema) as file:
            file.write_table(table, 1000)
    elif name == "a.csv":
        path.write_text("\n".join(["text", *(row["text"] for row in rows)]))
    else:
        path.write_text(json.dumps(rows) if name == "a.json" else "\n".join(map(json.dumps, rows)))
    del table
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    highest = 0
    for count, _ in enumerate(read_file(path), start=1):
        if count % 500 == 0:
            highest = max(highest, tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - before)
    tracemalloc.stop()
    assert count == len(rows)
    # The first 4,096 rows of a CSV file tell which columns hold lists.
    assert highest < (20 if name == "a.csv" else 12) * 2**20


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv.gz", "a.jsonl.zst"])
def test_texts_of_ten_megabytes_are_read(tmp_path, name):
    text = "好" * 3_500_000
    plain = f"text\n{text}\n" if "sv" in name else json.dumps([{"text": text}] if name == "a.json" else {"text": text})
    content = plain.encode()
    pack = {"gz": gzip.compress, "zst": zstd}.get(name.rpartition(".")[2], bytes)
    (tmp_path / name).write_bytes(pack(content))
    assert records(tmp_path / name) == [{"text": text}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json"])
def test_a_line_without_an_end_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(lines_module, "LONGEST", 1 << 21)
    (tmp_path / name).write_bytes(b"x" * (3 << 20))
    with pytest.raises(DecantError, match="line 1: the line is longer than 2 MiB"):
        records(tmp_path / name)


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_file_that_is_made_to_fill_the_memory_is_refused(tmp_path, pack):
    path = tmp_path / ("a.csv.gz" if pack is gzip.compress else "a.csv.zstd")
    path.write_bytes(pack(b"a\n" + b"0" * (80 << 20)))
    with pytest.raises(
        DecantError, match=r"expands more than (500|5000):1 \(.* bytes give .* bytes and more\)"
    ) as caught:
        records(path)
    assert "decompress the file yourself" in caught.value.remedy


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_logs_that_repeat_themselves_are_no_bomb(tmp_path, pack):
    path = tmp_path / ("a.jsonl.gz" if pack is gzip.compress else "a.jsonl.zst")
    line = json.dumps({"query": "the same", "text": "The same sentence again. " * 40})
    path.write_bytes(pack("".join(f'{line[:-1]}, "n": {n}}}\n' for n in range(75_000)).encode()))
    assert sum(1 for _ in read_file(path)) == 75_000


def test_members_of_a_compressed_file_are_read_one_after_another(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n') + gzip.compress(b'{"a": 2}\n'))
    (tmp_path / "a.jsonl.zst").write_bytes(zstd(b'{"a": 1}\n') + zstd(b'{"a": 2}\n'))
    assert records(tmp_path / "a.jsonl.gz") == records(tmp_path / "a.jsonl.zst") == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("content", [zstd(os.urandom(999))[:-9], b'{"a": 1}\n'])
def test_broken_zstandard_is_told_in_words(tmp_path, content):
    (tmp_path / "a.jsonl.zst").write_bytes(content)
    with pytest.raises(DecantError, match=r"a\.jsonl\.zst, after line \d+: broken zstd") as caught:
        records(tmp_path / "a.jsonl.zst")
    assert caught.value.remedy == "compress the file again"


def write_shards(folder, *names):
    for number, name in enumerate(names):
        content = f'{{"a": {number}}}\n'.encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def test_shards_of_a_folder_are_read_by_their_names(tmp_path):
    write_shards(tmp_path, "part-0.jsonl", "part-1.JSONL.gz", "part-2.ndjson")
    for name in ("README.md", "LICENSE", "dataset_info.json", "_SUCCESS", ".part-0.jsonl.crc", "notes.txt"):
        (tmp_path / name).write_text("not a record")
    read = list(read_file(tmp_path))
    assert [record for _, record in read] == [{"a": 0}, {"a": 1}, {"a": 2}]
    assert read[1][0] == f"{tmp_path}/part-1.JSONL.gz, line 1"


@pytest.mark.parametrize("other", ["b.csv", "b.xlsx", "b.json", "folder"])
def test_a_folder_with_more_than_shards_is_refused_with_the_names(tmp_path, other):
    write_shards(tmp_path, "a.jsonl")
    (tmp_path / other).mkdir() if other == "folder" else (tmp_path / other).write_text("a\n")
    with pytest.raises(DecantError, match=f"more than shards of one kind: a.jsonl, {other}"):
        read_file(tmp_path)


def test_a_folder_without_shards_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("a\n")
    with pytest.raises(DecantError, match="the folder holds no file that is read"):
        read_file(tmp_path)


@pytest.mark.parametrize("name", ["a.parquet.gz", "a.gz", "a.xlsx", "a"])
def test_another_kind_of_file_is_refused_with_the_kinds_that_are_read(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DecantError, match="is not read") as caught:
        read_file(tmp_path / name)
    assert ".jsonl" in caught.value.remedy
    assert ".feather" in caught.value.remedy


def test_numbers_in_parquet_are_python_values(tmp_path):
    pq.write_table(pa.table({"id": pa.array([7], pa.int32()), "scores": [[0.5, 1.0]]}), tmp_path / "a.parquet")
    [record] = records(tmp_path / "a.parquet")
    assert record == {"id": 7, "scores": [0.5, 1.0]}
    assert type(record["id"]) is int
