"""Columns are found under their usual names, as the user maps them, or refused with the mapping to write."""

from pathlib import Path

import pytest

from decant.data.files import Unreadable
from decant.errors import DecantError
from decant.fetch.layouts import LAYOUTS, Layout
from decant.fetch.layouts.given import Given, TextId
from decant.fetch.layouts.read import PEEK, Rows

ROW = {"query": "q", "positive": ["p"], "negative": ["n"]}
OWN = {"query": "q", "good": ["p"], "bad": ["n", "m"]}


def numbered(*records: dict | Unreadable) -> list[tuple[str, dict | Unreadable]]:
    return [(f"own.jsonl, line {number}", record) for number, record in enumerate(records, start=1)]


def read(*records: dict | Unreadable, layout: str | None = None, **names) -> tuple[Rows, list[Given | Unreadable]]:
    rows = Rows(numbered(*records), layout, **names)
    return rows, [given for _, given in rows]


def refusal(*records: dict, layout: str | None = None, **names) -> DecantError:
    with pytest.raises(DecantError) as error:
        read(*records, layout=layout, **names)
    return error.value


def test_unknown_columns_are_refused_with_the_mapping_to_write() -> None:
    error = refusal(OWN)
    assert error.problem.startswith("own.jsonl, line 1: ")
    assert "`good` and `bad`" in error.problem
    assert "`columns: {positive: good, negative: bad}`" in error.remedy
    assert "`ignore: [good, bad]`" in error.remedy


def test_what_the_refusal_says_to_write_works() -> None:
    assert read(OWN, columns={"positive": "good", "negative": "bad"})[1] == [Given("q", ["p"], ["n", "m"])]
    rows, out = read(OWN, ignore=["good", "bad"])
    assert out == [Given("q")]
    assert rows.unused == {}


@pytest.mark.parametrize(
    ("columns", "mapping"),
    [
        ({"irrelevant": "n", "relevant": "p"}, "{positive: relevant, negative: irrelevant}"),
        ({"wrong_answer": "n", "answer_text": "p"}, "{positive: answer_text, negative: wrong_answer}"),
        ({"HardDocs": ["n"], "MyDocs": ["p"]}, "{positive: MyDocs, negative: HardDocs}"),
        ({"a": "p", "b": "n"}, "{positive: a, negative: b}"),  # names that say nothing: in their order
        ({"好": ["p"], "坏": ["n"]}, "{positive: 好, negative: 坏}"),
        ({"good": "p", "bad one": "n", "bad two": "m"}, "{positive: good, negative_1: bad one, negative_2: bad two}"),
        ({"context": "p"}, "{positive: context}"),  # one alone is the positive
        ({"context": "p", "source": "web", "url": "https://x.org", "doc_id": "d"}, "{positive: context}"),  # metadata
        ({"context": "p", "length": "12", "share": "0.53", "seen": "true"}, "{positive: context}"),  # a CSV's numbers
        ({"positive_texts": [{"text": "p"}], "answers": ["p"]}, "{positive_passages: positive_texts}"),
        ({"negative": ["n"], "good": ["p"]}, "{positive: good}"),  # negatives alone are no labels
        ({"negative": ["n"], "a": "p", "b": "m"}, "{positive: a}"),  # there are negatives already
        ({"positive": None, "good": ["p"]}, "{positive: good}"),  # a column without a value
    ],
)
def test_the_mapping_is_guessed_from_the_names(columns: dict, mapping: str) -> None:
    assert f"`columns: {mapping}`" in refusal({"query": "q", **columns}).remedy


def test_a_guess_of_objects_with_texts_is_read_as_passages() -> None:
    record = {"question": "q", "positive_texts": [{"title": "T", "text": "p", "passage_id": "7"}]}
    _, out = read(record, columns={"positive_passages": "positive_texts"})
    assert out == [Given("q", ["T p"], ids=["7"])]


def test_rows_without_a_query_are_refused_with_a_mapping_to_write() -> None:
    error = refusal({"ask": "q", "good": "p", "n": 3})
    assert "own.jsonl, line 1: no column holds a query (found: `ask`, `good`, `n`)" in error.problem
    assert "`columns: {query: ask, positive: good}`" in error.remedy
    assert "(found: nothing)" in refusal({}).problem
    assert "of the layout rows" in refusal({"text": "q"}, layout="rows").problem


def test_a_refusal_can_be_printed_whatever_a_column_is_called() -> None:
    for record in ({"query": "q", "half \ud83d": "p"}, {"half \ud83d": "p"}):
        assert b"`half \\ud83d`" in str(refusal(record)).encode()


def test_a_query_alone_beside_plain_metadata_is_read() -> None:
    rows, out = read({"query": "q", "source": "web", "id": 1, "n": 3})
    assert out == [Given("q", query_id="1")]
    assert rows.unused == {"source": "web", "n": 3}


def test_unused_columns_are_told_with_an_example() -> None:
    rows, out = read({**ROW, "note": None}, {**ROW, "note": "n1", "more": 1}, {**ROW, "note": "n2"})
    assert len(out) == rows.rows == 3
    assert rows.unused == {"note": "n1", "more": 1}


def test_ignored_columns_are_not_used_either() -> None:
    record = {"query": "q", "pos": ["p"], "neg": ["n"], "pos_scores": ["broken"]}
    assert read(record, ignore=["pos_scores"])[1] == [Given("q", ["p"], ["n"])]
    assert read(record, ignore=["neg", "pos_scores"])[1] == [Given("q", ["p"])]
    assert "`columns: {positive: context}`" in refusal({**OWN, "context": "c"}, ignore=["good", "bad"]).remedy
    assert read({"ask": "q", **ROW}, ignore=["ask"])[0].layout == "rows"
    assert read({"query": "q", "positive": "p", "anchor": "a"}, ignore=["anchor"])[0].layout == "rows"


def test_mapped_columns_go_before_others() -> None:
    both = {"query": "q", "pos": ["old"], "good": ["p"], "neg": ["n"]}
    rows, out = read(both, columns={"positive": "good"})
    assert out == [Given("q", ["p"], ["n"])]
    assert rows.unused == {"pos": ["old"]}
    swapped = {"query": "q", "positive": "n", "negative": "p"}
    assert read(swapped, columns={"positive": "negative", "negative": "positive"})[1] == [Given("q", "p", "n")]


def test_a_mapping_serves_every_layout() -> None:
    triplets = [{"ask": "q", "good": "p", "bad": bad} for bad in ("n", "m")]
    names = {"query": "ask", "positive": "good", "negative": "bad"}
    assert read(*triplets, columns=names, layout="sentence_transformers")[1] == [Given("q", ["p"], ["n", "m"])]
    pairs = [{"q": "q", "d": "p", "judgement": 1}, {"q": "q", "d": "n", "judgement": 0}]
    names = {"query": "q", "passage": "d", "label": "judgement"}
    assert read(*pairs, columns=names)[1] == [Given("q", ["p"], ["n"])]


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ({"columns": {"postive": "good"}}, "`postive`, which is no column of any layout"),
        ({"columns": {"label": "positive"}, "layout": "rows"}, "`label`, which is no column of the layout rows"),
        ({"columns": {"positive": "good", "negative": "good"}}, "`good` twice, as positive and as negative"),
        ({"columns": {"prompt": "good"}}, "`prompt`, which is no column of the layout rows"),  # known to another
        ({"columns": {"grades": "goood"}}, "has `goood`, which `columns` names"),
        ({"layout": "msmarco"}, "there is no layout 'msmarco'"),
    ],
)
def test_arguments_that_name_what_is_not_there_are_refused(names: dict, fault: str) -> None:
    error = refusal({**ROW, "good": ["p"]}, **names)
    assert fault in error.problem
    assert error.remedy


def test_columns_that_differ_in_case_alone_are_not_mixed_up() -> None:
    rows, out = read({"query": "q", "Query": "other", "positive": "p"})
    assert out == [Given("q", "p")]
    assert rows.unused == {"Query": "other"}
    assert "(found: `Query`, `QUERY`, `positive`)" in refusal({"Query": "q", "QUERY": "r", "positive": "p"}).problem


def test_later_rows_may_have_other_columns() -> None:
    rows, out = read({"query": "q"}, {"query": "r", "pos": ["p"], "neg": ["n"]}, {"text": "lost"}, {})
    assert rows.layout == "flagembedding"
    assert out == [Given("q"), Given("r", ["p"], ["n"]), Given(None), Given(None)]
    assert rows.unused == {"text": "lost"}


def test_columns_that_come_late_and_stay_unused_are_refused_in_the_end() -> None:
    queries = [{"query": f"q{number}"} for number in range(PEEK)]
    assert "`good` and `bad`" in refusal(*queries, OWN).problem


def test_rows_that_the_reader_could_not_read_are_passed_on() -> None:
    broken = Unreadable("not valid JSON", "mend it")
    rows, out = read(*[broken] * (PEEK + 1), ROW, broken)
    assert out == [*[broken] * (PEEK + 1), Given("q", ["p"], ["n"]), broken]
    assert rows.rows == PEEK + 3
    rows, out = read(broken)
    assert (rows.layout, rows.rows, out) == ("", 1, [broken])
    assert read()[1] == []


def test_the_layout_is_known_with_the_first_row() -> None:
    rows = Rows(numbered(ROW, ROW), None)
    next(iter(rows))
    assert rows.layout == "rows"


def test_a_repeated_query_of_decants_own_layout_is_not_joined() -> None:
    assert len(read(ROW, ROW)[1]) == 2


def test_joined_rows_stand_at_the_place_of_the_first() -> None:
    pairs = [{"query": query, "passage": text, "label": 1} for query, text in [("a", "1"), ("b", "2"), ("a", "3")]]
    assert list(Rows(numbered(*pairs), None)) == [
        ("own.jsonl, line 1", Given("a", ["1", "3"])),
        ("own.jsonl, line 2", Given("b", ["2"])),
    ]


def test_grades_are_kept_unless_all_of_a_query_are_0_and_1() -> None:
    rows = [("a", "1", 3), ("a", "2", 0), ("b", "3", 1), ("a", "4", 1), ("b", "5", -1)]
    _, out = read(*[{"query": query, "passage": text, "label": label} for query, text, label in rows])
    assert out == [Given("a", ["1", "4"], ["2"], grades=[3, 1, 0]), Given("b", ["3"], ["5"])]


def test_a_candidate_that_repeats_in_its_list_is_taken_once_and_one_in_both_lists_stays_in_both() -> None:
    triplets = [("p", "n"), ("p", "n"), ("n", "p")]
    _, out = read(*[{"anchor": "q", "positive": positive, "negative": negative} for positive, negative in triplets])
    assert out == [Given("q", ["p", "n"], ["n", "p"])]


def test_what_is_no_text_is_not_taken_for_a_repetition() -> None:
    pairs = [{"query": "q", "passage": passage, "label": 1} for passage in (None, None, [], [], 1, True)]
    assert read(*pairs)[1] == [Given("q", [None, None, [], [], 1, True])]


def test_a_candidate_with_two_grades_or_scores_stays_twice() -> None:
    pair = {"query": "q", "passage": "p"}
    assert read({**pair, "label": 1}, {**pair, "label": 2})[1] == [Given("q", ["p", "p"], grades=[1, 2])]
    assert read({**pair, "score": 0.5}, {**pair, "score": 0.7}, {**pair, "score": 0.5})[1] == [
        Given("q", candidates=["p", "p"], scores=[0.5, 0.7])
    ]


def test_rows_of_an_id_are_joined_and_a_second_text_of_the_id_is_told() -> None:
    pair = {"query_id": 1, "query": "q", "passage": "p", "label": 1}
    _, out = read(pair, {**pair, "query": None, "passage": "r"}, {**pair, "query": "other", "passage": "s"})
    assert out[0] == Given("q", ["p", "r"], query_id="1")
    assert "the query id '1' is that of 'q' in own.jsonl, line 1, and here that of 'other'" in out[1].fault


def test_queries_that_are_no_texts_are_not_joined() -> None:
    pairs = [{"query": query, "passage": "p", "label": 1} for query in (None, None, 5, "", [])]
    assert [given.query for given in read(*pairs)[1]] == [None, None, 5, "", []]


def test_gpls_rows_of_one_query_are_joined() -> None:
    rows = [("q1", "a", "b", 1.5), ("q2", "a", "c", 0.5), ("q1", "a", "d", -2.0)]
    _, out = read(*[dict(zip(("query_id", "positive_id", "negative_id", "margin"), row, strict=True)) for row in rows])
    assert out[0] == Given(TextId("q1"), [TextId("a")], [TextId("b"), TextId("d")], query_id="q1", ids=["a", "b", "d"])
    assert out[1].query_id == "q2"
    assert all(isinstance(text, TextId) for text in [out[0].query, *out[0].positive, *out[0].negative])


CHOSEN = """
from decant.fetch.layouts.columns import Columns
from decant.fetch.layouts.given import Given

JOINS = True
COLUMNS = Columns({"prompt": ("query",), "chosen": (), "rejected": ()}, query=("prompt",), candidates=("chosen",))

def matches(seen):
    return {"prompt", "chosen", "rejected"} <= seen.keys()

def convert(record):
    return Given(record.get("prompt"), record.get("chosen"), record.get("rejected"))
"""


def test_a_layout_is_a_module_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_layout.py").write_text(CHOSEN)
    monkeypatch.syspath_prepend(tmp_path)
    records = [{"Prompt": "q", "chosen": "p", "rejected": text} for text in ("n", "m")]
    assert "no column holds a query" in refusal(*records).problem
    monkeypatch.setitem(LAYOUTS, "chosen", Layout("made_up_layout"))
    rows, out = read(*records)
    assert (rows.layout, out) == ("chosen", [Given("q", ["p"], ["n", "m"])])
