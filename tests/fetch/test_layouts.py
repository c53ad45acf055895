"""Every layout that people bring gives the query, its candidates, and the labels, ids and scores beside them."""

import csv
import json
from pathlib import Path

import pytest

from decant.data.files import Unreadable, read_file
from decant.fetch.layouts import LAYOUTS
from decant.fetch.layouts.given import Given, TextId
from decant.fetch.layouts.read import Rows

CHAT = [{"role": "user", "content": "q"}]


def says(*contents: str) -> list[list[dict]]:
    return [[{"role": "assistant", "content": content}] for content in contents]


def read(*records: dict, layout: str | None = None) -> tuple[Rows, list[Given | Unreadable]]:
    rows = Rows([(f"own.jsonl, line {number}", row) for number, row in enumerate(records, start=1)], layout)
    return rows, [given for _, given in rows]


def test_every_layout_is_covered_here() -> None:
    assert {layout for layout, _, _ in ONE_ROW} == set(LAYOUTS)


ONE_ROW = [
    # Decant's own, with lists, with single texts as in CSV, without labels, and before mining
    ("rows", {"query": "q", "positive": ["p"], "negative": ["n"]}, Given("q", ["p"], ["n"])),
    ("rows", {"query": "q", "positive": "p", "negative": "n"}, Given("q", "p", "n")),
    ("rows", {"query": "q", "candidates": ["a", "b"]}, Given("q", candidates=["a", "b"])),
    ("rows", {"query": "q", "positive": ["p"]}, Given("q", ["p"])),
    ("rows", {"query": "q"}, Given("q")),
    ("rows", {"id": 7, "query": "q", "positive": "p"}, Given("q", "p", query_id="7")),
    (  # a split that Decant itself wrote
        "rows",
        {"query": "q", "positive": ["p"], "negative": ["n"], "grades": [2, 0], "query_id": "1", "ids": ["d1", ""]},
        Given("q", ["p"], ["n"], grades=[2, 0], query_id="1", ids=["d1", ""]),
    ),
    ("rows", {"question": "q", "positives": ["p"], "hard_negatives": ["n"]}, Given("q", ["p"], ["n"])),
    ("rows", {"Query": "q", "POSITIVE": "p", "Negative": "n"}, Given("q", "p", "n")),  # as spreadsheets have them
    ("rows", {"query": "q", "positive": 5, "negative": [None]}, Given("q", 5, [None])),  # for the validator to count
    (
        "flagembedding",
        {"query": "q", "pos": ["p"], "neg": ["n"], "pos_scores": [9.5], "neg_scores": [-1], "prompt": "To find: "},
        Given("q", ["p"], ["n"], scores=[9.5, -1.0], prompt="To find: "),
    ),
    ("flagembedding", {"query": "q", "pos": ["p"]}, Given("q", ["p"])),  # negatives are to be mined
    ("flagembedding", {"query": "q", "pos": "p", "neg": "n"}, Given("q", "p", "n")),
    (  # scores that only the positives have
        "flagembedding",
        {"query": "q", "pos": ["p"], "neg": ["n"], "pos_scores": [9.5], "neg_scores": None},
        Given("q", ["p"], ["n"], scores=[9.5, None]),
    ),
    (
        "flagembedding",
        {"query_id": 1, "query": "q", "pos": ["p"], "neg": ["n"], "pos_id": [4], "neg_id": ["5"]},
        Given("q", ["p"], ["n"], query_id="1", ids=["4", "5"]),
    ),
    ("sentence_transformers", {"anchor": "q", "positive": "p"}, Given("q", ["p"])),
    ("sentence_transformers", {"anchor": "q", "positive": "p", "negative": "n"}, Given("q", ["p"], ["n"])),
    ("sentence_transformers", {"question": "q", "answer": "p"}, Given("q", ["p"])),
    ("sentence_transformers", {"query": "q", "response": "p"}, Given("q", ["p"])),
    ("sentence_transformers", {"query": "q", "passage": "p", "negative": "n"}, Given("q", ["p"], ["n"])),
    (  # by number, not by letter; an empty cell is no candidate
        "sentence_transformers",
        {"anchor": "q", "positive": "p", "negative_10": "c", "negative_2": "b", "negative_1": "a", "negative_3": " "},
        Given("q", ["p"], ["a", "b", "c"]),
    ),
    (
        "sentence_transformers",
        {"query": "q", "positive_1": "p", "positive_2": None, "negative1": "a", "negative-2": "b", "neg_3": "c"},
        Given("q", ["p"], ["a", "b", "c"]),
    ),
    ("sentence_transformers", {"query": "q", "pos_1": "p", "hard_negative_1": "n"}, Given("q", ["p"], ["n"])),
    ("sentence_transformers", {"sentence1": "q", "sentence2": "p", "label": 1}, Given("q", ["p"])),
    ("sentence_transformers", {"sentence1": "q", "sentence2": "n", "score": "0"}, Given("q", negative=["n"])),
    ("labelled_pairs", {"query": "q", "passage": "p", "label": 1}, Given("q", ["p"])),
    ("labelled_pairs", {"question": "q", "answer": "n", "label": "0"}, Given("q", negative=["n"])),
    ("labelled_pairs", {"query": "q", "text": "p", "relevance": 2}, Given("q", ["p"], grades=[2])),
    ("labelled_pairs", {"query": "q", "document": "p", "grade": 3.0}, Given("q", ["p"], grades=[3])),
    ("labelled_pairs", {"query": "q", "sentence": "n", "label": -1}, Given("q", negative=["n"])),  # TREC's spam
    ("labelled_pairs", {"query": "q", "passage": "p", "score": 1}, Given("q", ["p"])),
    ("labelled_pairs", {"query": "q", "passage": "p", "label": True}, Given("q", ["p"])),
    ("labelled_pairs", {"query": "q", "passage": None, "label": 1}, Given("q", [None])),  # counted, not lost
    ("scored_pairs", {"query": "q", "passage": "a", "score": 9.25}, Given("q", candidates=["a"], scores=[9.25])),
    ("scored_pairs", {"query": "q", "passage": "a", "score": "0.5"}, Given("q", candidates=["a"], scores=[0.5])),
    (  # of cross-encoders' training data; the score of similarity is no label
        "scored_pairs",
        {"sentence1": "q", "sentence2": "a", "score": 3.8},
        Given("q", candidates=["a"], scores=[3.8]),
    ),
    (
        "tevatron",
        {
            "query_id": "1",
            "query": "q",
            "positive_passages": [{"docid": "a", "title": "T", "text": "p"}],
            "negative_passages": [{"docid": "b", "title": "", "text": "n"}, {"docid": "c", "title": None, "text": "m"}],
        },
        Given("q", ["T p"], ["n", "m"], query_id="1", ids=["a", "b", "c"]),
    ),
    (  # objects of several shapes, with a score, with an id alone, and one that nobody can read
        "tevatron",
        {
            "query": "q",
            "positive_passages": [{"docid": 7, "text": "p", "score": 2}, {"docid": "8"}],
            "negative_passages": ["n", {"title": "T"}],
        },
        Given("q", ["p", TextId("8")], ["n", {"title": "T"}], ids=["7", "8", "", ""], scores=[2.0, None, None, None]),
    ),
    (
        "tevatron",
        {"query_id": "1", "query_text": "q", "positive_document_ids": ["a"], "negative_document_ids": [5, "c"]},
        Given("q", [TextId("a")], [TextId("5"), TextId("c")], query_id="1", ids=["a", "5", "c"]),
    ),
    (  # biencoder-nq-train.json; scores are BM25's, and none of a teacher
        "dpr",
        {
            "dataset": "nq_train_psgs_w100",
            "question": "q",
            "answers": ["p"],
            "positive_ctxs": [{"title": "T", "text": "p", "score": 1000, "title_score": 1, "passage_id": "1"}],
            "negative_ctxs": [{"title": "", "text": "m", "score": 0, "title_score": 0, "passage_id": "3"}],
            "hard_negative_ctxs": [{"title": "H", "text": "n", "score": 13.4, "title_score": 0, "passage_id": "2"}],
        },
        Given("q", ["T p"], ["H n", "m"], ids=["1", "2", "3"]),
    ),
    (  # biencoder-trivia-train.json
        "dpr",
        {"question": "q", "positive_ctxs": [{"title": "T", "text": "p", "psg_id": "1"}], "hard_negative_ctxs": []},
        Given("q", ["T p"], [], ids=["1"]),
    ),
    (
        "swift",
        {"messages": CHAT, "positive_messages": says("p"), "negative_messages": says("n", "m")},
        Given("q", ["p"], ["n", "m"]),
    ),
    (  # a system message is the prompt; the last question counts; candidates may be single messages of anybody
        "swift",
        {
            "messages": [
                {"role": "system", "content": "Find."},
                {"role": "user", "content": "old"},
                *says("a")[0],
                *CHAT,
            ],
            "positive_messages": [{"role": "user", "content": "p"}],
            "negative_messages": None,
        },
        Given("q", ["p"], prompt="Find."),
    ),
    ("swift", {"messages": [*CHAT, *says("p")[0]], "rejected_response": "n"}, Given("q", "p", "n")),
    ("swift", {"query": "q", "response": "p", "rejected_response": ["n", "m"]}, Given("q", "p", ["n", "m"])),
    ("nemo", {"question": "q", "pos_doc": "p", "neg_doc": ["n", "m"]}, Given("q", ["p"], ["n", "m"])),
    (
        "nemo",
        {"question_id": "1", "question": "q", "corpus_id": "c", "pos_doc": [{"id": "2"}], "neg_doc": [{"id": 69560}]},
        Given("q", [TextId("2")], [TextId("69560")], query_id="1", ids=["2", "69560"]),
    ),
    ("nemo", {"query": "q", "pos_doc": [{"text": "p"}], "neg_doc": [{"text": "n"}]}, Given("q", ["p"], ["n"])),
    (
        "gpl",
        {"query_id": "q1", "positive_id": "a", "negative_id": "b", "margin": "1.5"},
        Given(TextId("q1"), [TextId("a")], [TextId("b")], query_id="q1", ids=["a", "b"]),
    ),
]


@pytest.mark.parametrize(
    ("layout", "record", "given"), ONE_ROW, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_layout_is_found_by_its_columns_and_read(layout: str, record: dict, given: Given) -> None:
    rows, out = read(record)
    assert rows.layout == layout
    assert out == [given]
    assert kinds(out[0]) == kinds(given)  # a TextId equals the str that it looks like
    assert rows.unused == {}


def kinds(given: Given) -> list[type]:
    lists = [value if isinstance(value, list) else [value] for value in (given.positive, given.negative)]
    return [type(given.query), *(type(text) for texts in lists for text in texts)]


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ({"query": "q", "passage": "p", "label": "entailment"}, "the label is 'entailment', not a whole number"),
        ({"query": "q", "passage": "p", "label": 0.5}, "the label is 0.5"),
        ({"query": "q", "passage": "p", "label": None}, "the label is None"),
        ({"query": "q", "passage": "p", "label": float("nan")}, "the label is nan"),
        ({"query": "q", "passage": "p", "label": "1e999"}, "the label is '1e999'"),  # infinite
        ({"query": "q", "pos": ["p"], "neg": ["n"], "neg_scores": [1.0, 2.0]}, "`neg_scores` has 2 values for 1"),
        ({"query": "q", "pos": ["p"], "neg": ["n"], "pos_scores": ["high"]}, "`pos_scores` is ['high']"),
        ({"query": "q", "pos": ["p"], "neg": ["n"], "pos_scores": [float("inf")]}, "`pos_scores` is [inf]"),
        ({"query": "q", "pos": ["p"], "neg": ["n"], "neg_id": ["a", "b"]}, "`neg_id` has 2 values for 1"),
        ({"query": "q", "pos": ["p"], "prompt": 5}, "`prompt` is 5, not a string"),
        ({"query": "q", "positive": ["p"], "negative": ["n"], "grades": [1]}, "`grades` has 1 values for 2"),
        ({"messages": 5, "positive_messages": says("p")}, "`messages` is 5, without a message of the user"),
        ({"messages": says("a")[0], "positive_messages": says("p")}, "without a message of the user"),
        ({"query": "q", "positive_passages": [{"text": "p", "score": "high"}]}, "the scores ['high'] are not all"),
    ],
)
def test_a_row_that_has_not_the_layouts_shape_is_told_and_not_lost(record: dict, fault: str) -> None:
    _, (out,) = read(record)
    assert isinstance(out, Unreadable)
    assert fault in out.fault
    assert out.remedy


def test_a_score_that_is_no_number_makes_the_row_unreadable() -> None:
    rows, out = read({"query": "q", "passage": "a", "score": 0.5}, {"query": "q", "passage": "b", "score": "high"})
    assert rows.layout == "scored_pairs"
    assert "the score is 'high'" in out[1].fault


def test_low_whole_scores_are_labels_and_others_are_scores() -> None:
    pair = {"query": "q", "passage": "p"}
    assert read({**pair, "score": 0}, {**pair, "score": 4})[0].layout == "labelled_pairs"
    assert read({**pair, "score": 0}, {**pair, "score": 0.5})[0].layout == "scored_pairs"
    assert read({**pair, "score": 85})[0].layout == "scored_pairs"  # of a hundred


FLAG = """\
{"query": "q1", "pos": ["p1"], "neg": ["n1", "n2"], "pos_scores": [9.5], "neg_scores": [1.5, 0.5], "type": "normal"}
{"query": "q2", "pos": ["p2", "p3"], "neg": ["n3"], "pos_scores": [9.5, 8.5], "neg_scores": [0.5], "type": "normal"}
"""
TRIPLETS = "anchor,positive,negative\nq1,p1,n1\nq1,p1,n2\nq2,p2,n3\nq1,p3,n1\n"
NUMBERED = "query,positive,negative_1,negative_2\nq1,p1,n1,n2\nq2,p2,n3,\n"


def from_file(path: Path, content: str) -> list[Given | Unreadable]:
    path.write_text(content, encoding="utf-8")
    return [given for _, given in Rows(read_file(path), None)]


def test_what_belongs_to_a_layout_and_is_of_no_use_is_not_told() -> None:
    assert read({"query": "q", "pos": ["p"], "type": "normal"})[0].unused == {}
    assert read({"query": "q", "positive": ["p"], "type": "normal"})[0].unused == {"type": "normal"}
    passages = {"positive_passages": [{"text": "p"}], "answers": ["a"], "source": "web"}
    assert read({"query": "q", **passages})[0].unused == {}


def test_flagembeddings_file_is_read_with_its_scores(tmp_path: Path) -> None:
    out = from_file(tmp_path / "flag.jsonl", FLAG)
    assert out == [
        Given("q1", ["p1"], ["n1", "n2"], scores=[9.5, 1.5, 0.5]),
        Given("q2", ["p2", "p3"], ["n3"], scores=[9.5, 8.5, 0.5]),
    ]


def test_triplets_of_one_query_become_one_row(tmp_path: Path) -> None:
    out = from_file(tmp_path / "triplets.csv", TRIPLETS)
    assert out == [Given("q1", ["p1", "p3"], ["n1", "n2"]), Given("q2", ["p2"], ["n3"])]


def test_numbered_columns_are_one_list(tmp_path: Path) -> None:
    out = from_file(tmp_path / "numbered.csv", NUMBERED)
    assert out == [Given("q1", ["p1"], ["n1", "n2"]), Given("q2", ["p2"], ["n3"])]


WIKIQA = """\
QuestionID\tQuestion\tDocumentID\tDocumentTitle\tSentenceID\tSentence\tLabel
Q1\thow are caves formed\tD1\tGlacier cave\tD1-0\tA partly submerged cave.\t0
Q1\thow are caves formed\tD1\tGlacier cave\tD1-1\tMeltwater forms it.\t1
Q2\thow long is a mile\tD2\tMile\tD2-0\tIt is 5,280 feet.\t1
"""


def test_wikiqa_is_read_with_the_ids_of_its_questions_and_sentences() -> None:
    rows, out = read(*csv.DictReader(WIKIQA.splitlines(), delimiter="\t"))
    assert rows.layout == "labelled_pairs"
    assert out == [
        Given(
            "how are caves formed",
            ["Meltwater forms it."],
            ["A partly submerged cave."],
            query_id="Q1",
            ids=["D1-1", "D1-0"],
        ),
        Given("how long is a mile", ["It is 5,280 feet."], query_id="Q2", ids=["D2-0"]),
    ]
    assert rows.unused == {}


def test_every_layout_can_be_named() -> None:
    for layout, record, given in ONE_ROW:
        assert read(json.loads(json.dumps(record)), layout=layout)[1] == [given]
