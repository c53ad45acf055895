"""Tables that people export: delimiters, quotes, and which cells are lists."""

import json

import pytest

from decant.data import delimited
from decant.data.files import Unreadable, checked, read_file
from decant.errors import DecantError


def records(path, content, **arguments):
    path.write_bytes(content)
    return [record for _, record in read_file(path, **arguments)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_tells_the_delimiter(tmp_path, delimiter):
    content = delimiter.join(["a", '"b, c; d"', "e"]) + "\n" + delimiter.join(["1", "2", "3"]) + "\n"
    assert records(tmp_path / "a.csv", content.encode()) == [{"a": "1", "b, c; d": "2", "e": "3"}]


def test_the_delimiter_given_and_the_suffix_come_before_the_header(tmp_path):
    assert records(tmp_path / "a.csv", b"a,b;c\n1,2;3\n", delimiter=";") == [{"a,b": "1,2", "c": "3"}]
    assert records(tmp_path / "a.tsv", b"a,b,c\td\n1\t2\n") == [{"a,b,c": "1", "d": "2"}]
    assert records(tmp_path / "a.tsv", b"a|b\n1|2\n", delimiter="|") == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("delimiter", ["", ";;", "\n", '"'])
def test_a_delimiter_that_separates_nothing_is_refused(tmp_path, delimiter):
    with pytest.raises(DecantError, match="`delimiter` is") as caught:
        records(tmp_path / "a.csv", b"a,b\n", delimiter=delimiter)
    assert "one character" in caught.value.remedy


def test_quoted_cells_hold_delimiters_quotes_and_lines_and_rows_keep_their_lines(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\na,b\r\n"x, ""y""\r\nz",2\r\n\r\n3,\r\n')
    assert list(read_file(tmp_path / "a.csv")) == [
        (f"{tmp_path}/a.csv, row 1 (line 4)", {"a": 'x, "y"\r\nz', "b": "2"}),
        (f"{tmp_path}/a.csv, row 2 (line 6)", {"a": "3", "b": ""}),
    ]


def test_a_row_with_too_many_or_too_few_cells_does_not_end_the_file(tmp_path):
    read = records(tmp_path / "a.csv", b"a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert [record for record in read if isinstance(record, dict)] == [{"a": "1", "b": "2"}, {"a": "7", "b": "8"}]
    assert [record.fault for record in read if isinstance(record, Unreadable)] == [
        "the row does not have as many cells as the header (1, not 2)",
        "the row does not have as many cells as the header (3, not 2)",
    ]


def test_quotes_that_never_close_are_told_with_the_line_where_they_open(tmp_path, monkeypatch):
    content = b'a,b\n1,2\n"3,4\n' + b"5,6\n" * 9
    with pytest.raises(DecantError, match="line 3: not valid CSV") as caught:
        records(tmp_path / "a.csv", content)
    assert "mend the quoting" in caught.value.remedy
    monkeypatch.setattr(delimited, "LONGEST_CELL", 1000)
    with pytest.raises(DecantError, match=r"line 3: not valid CSV \(field larger"):
        records(tmp_path / "a.csv", content + b"5,6\n" * 500)


def test_quotes_in_a_file_with_tabs_are_text_where_they_enclose_no_cell(tmp_path):
    """As in WikiQA's files; where all quoted cells are whole, quotes enclose them."""
    (tmp_path / "a.tsv").write_text('question\tanswer\nq "1"\t"Yes" is a song\nq2\t"Open\nq3\t"whole"\n')
    answers = [record["answer"] for _, record in read_file(tmp_path / "a.tsv")]
    assert answers == ['"Yes" is a song', '"Open', '"whole"']
    (tmp_path / "b.tsv").write_text('question\tanswer\nq "1"\t"a ""b"""\nq2\t"two\nlines"\n')
    assert [record["answer"] for _, record in read_file(tmp_path / "b.tsv")] == ['a "b"', "two\nlines"]


def test_a_column_without_a_name_is_left_out(tmp_path):
    assert records(tmp_path / "a.csv", b",a,\n0,1,\n") == [{"a": "1"}]


def test_numbers_stay_texts(tmp_path):
    assert records(tmp_path / "a.csv", b"id,a\n007,1e5\n") == [{"id": "007", "a": "1e5"}]


NO_ARRAY = "no array"


@pytest.mark.parametrize(
    "cells, expected",
    [
        # notes in brackets, and no list
        (["[see note 3]", "text", "[1]"], ["[see note 3]", "text", "[1]"]),
        # lists, and a text alone
        (['["a", "b"]', "c", ' ["d"] ', "[]", ""], [["a", "b"], "c", ["d"], [], ""]),
        # lists, and what is none
        (['["a"]', "[see note 3]", "['b']"], [["a"], NO_ARRAY, NO_ARRAY]),
        # lists as Python prints them
        (["['a', 'b']", "['c']", "d"], [NO_ARRAY, NO_ARRAY, "d"]),
        # scores
        (["[0.5, 1]", "[2]"], [[0.5, 1], [2]]),
        # footnotes among texts
        (["[1]", "a text"], ["[1]", "a text"]),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_a_column_holds_lists_where_its_cells_are_json_arrays(tmp_path, monkeypatch, cells, expected, later):
    if later:
        monkeypatch.setattr(delimited, "LOOKED_AT", len(cells))
    rows = [f'q,"{cell.replace(chr(34), chr(34) * 2)}"\n' for cell in cells] * 2
    read = records(tmp_path / "a.csv", ("query,texts\n" + "".join(rows)).encode())
    assert [NO_ARRAY if isinstance(record, Unreadable) else record["texts"] for record in read] == expected * 2
    for record in read:
        if isinstance(record, Unreadable):
            assert record.fault == "`texts` stands in brackets, but is not a JSON array"
            assert "a list that Python printed is none" in record.remedy


def test_a_list_that_comes_after_the_rows_that_are_looked_at_is_never_taken_for_a_text(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "LOOKED_AT", 2)
    content = b'query,a,b\nq,plain,[note]\nq,plain,x\nq,"[""l""]",x\nq,[note],x\nq,x,"[""l""]"\n'
    read = records(tmp_path / "a.csv", content)
    assert read[2]["a"] == ["l"]
    assert read[3].fault == "`a` stands in brackets, but is not a JSON array"
    assert read[4].fault == "`b` is a JSON array, and cells in brackets of earlier rows are not"


def test_a_query_is_a_text_whatever_it_looks_like(tmp_path):
    query = json.dumps(["a"]).replace('"', '""')
    [(_, record)] = checked(read_file(_written(tmp_path / "a.csv", f'query,positive\n"{query}",p\n')))
    assert record["query"] == '["a"]'


def _written(path, text):
    path.write_text(text)
    return path
