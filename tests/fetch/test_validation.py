"""The validator lets through what keeps the contract, counts what it mends, and names everything else."""

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.data.sets import Row, normalise
from decant.errors import DecantError
from decant.fetch.validation import Faults, validate

FUZZ = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def record(**changes) -> dict:
    return {"query": "q", "positive": ["p"], "negative": ["n"], **changes}


def check(*records, duplicates="refuse", labelled=True) -> tuple[list[Row], Faults]:
    numbered = [(f"own.jsonl, line {number}", content) for number, content in enumerate(records, start=1)]
    return validate(numbered, duplicates, labelled=labelled)


def without(key: str) -> dict:
    content = record()
    del content[key]
    return content


@pytest.mark.parametrize(
    "broken, fault",
    [
        (record(positive=[]), "`positive` is empty"),
        (record(negative=[]), "`negative` is empty"),
        (without("positive"), "there is no `positive`"),
        (without("negative"), "there is no `negative`"),
        (record(positive=None), "there is no `positive`"),
        (without("query"), "there is no `query`"),
        ({}, "(found: nothing)"),
        ({"question": "q", "good": []}, "(found: question, good)"),  # another data set's columns
        (record(query=7), "`query` is 7, not a string"),
        (record(query=None), "`query` is None, not a string"),
        (record(query=["q"]), "`query` is ['q'], not a string"),
        (record(query=""), "`query` is an empty string"),
        (record(query=" \t\n\u3000"), "`query` is an empty string"),  # white space of every kind
        (record(positive=["p", 3.5]), "`positive[1]` is 3.5, not a string"),
        (record(negative=["n", None]), "`negative[1]` is None, not a string"),
        (record(negative=["n", ["m"]]), "`negative[1]` is ['m'], not a string"),  # a list in the list
        (record(negative=["n", " "]), "`negative[1]` is an empty string"),
        (record(positive=""), "`positive[0]` is an empty string"),
        (record(positive=5), "`positive` is 5"),
        (record(positive={"p": 1}), "`positive` is {'p': 1}"),  # texts with grades
        (record(positive={"p"}), "`positive` is {'p'}"),  # a set has no order
        (record(positive=b"p"), "`positive` is b'p'"),
        (record(query="half \ud83d"), "`query` holds half of a surrogate pair"),
        (record(negative=["n", "\udc00"]), "`negative[1]` holds half of a surrogate pair"),
        (record(negative=["n", "p"]), "'p' is both positive and negative"),
        (["q", "p", "n"], "a row is ['q', 'p', 'n'], not an object"),
        (None, "a row is None, not an object"),
        (record(query=7 * [10**40]), "…"),  # whatever is long is cut
    ],
)
def test_a_fault_names_place_and_remedy(broken, fault):
    with pytest.raises(DecantError) as caught:
        check(record(query="sound"), broken)
    assert caught.value.problem.startswith("own.jsonl, line 2: ")
    assert fault in caught.value.problem
    assert len(caught.value.problem) < 250
    assert caught.value.remedy


def test_a_sound_row_is_taken_as_it_is():
    rows, faults = check(record(query=" Q ", positive=["b", "a"], negative=("m", "n ")))
    assert rows == [Row(" Q ", ["b", "a"], ["m", "n "])]
    assert faults == Faults(0, 0, 0)


def test_one_text_stands_for_a_list_of_one():
    assert check(record(positive="p", negative="n"))[0] == [Row("q", ["p"], ["n"])]


def test_other_columns_are_left_aside():
    assert check(record(id=7, source=None))[0] == [Row("q", ["p"], ["n"])]


def test_a_split_without_rows_is_refused():
    with pytest.raises(DecantError, match="holds no row"):
        check()


def test_candidates_that_come_again_in_a_row_are_taken_once_and_counted():
    rows, faults = check(record(positive=["p", "p"], negative=["n", "m", "n", "n"]))
    assert rows == [Row("q", ["p"], ["n", "m"])]
    assert faults.repeated_candidates == 3


def test_unlabelled_candidates_are_taken_for_training_alone():
    unlabelled = {"query": "q", "candidates": ["a", "b", "a"]}
    rows, faults = check(unlabelled, labelled=False)
    assert rows == [Row("q", unlabelled=["a", "b"])]
    assert faults.repeated_candidates == 1
    with pytest.raises(DecantError, match="no labels, which dev and test rows need"):
        check(unlabelled)


@pytest.mark.parametrize("candidates", [["a"], ["a", "a"], []])
def test_one_candidate_is_no_ranking(candidates):
    with pytest.raises(DecantError, match="`candidates`"):
        check({"query": "q", "candidates": candidates}, labelled=False)


@pytest.mark.parametrize("duplicates", ["keep", "merge", "refuse"])
def test_labelled_and_unlabelled_rows_do_not_mix(duplicates):
    unlabelled = {"query": "r", "candidates": ["a", "b"]}
    with pytest.raises(DecantError, match=r"own\.jsonl, line 2.*label"):
        check(record(), unlabelled, record(query="s"), duplicates=duplicates, labelled=False)


@pytest.mark.parametrize("content", [without("negative"), record(negative=None), record(negative=[])])
def test_a_train_row_may_lack_negatives_and_no_other_may(content):
    assert check(content, record(query="r"), labelled=False)[0] == [Row("q", ["p"]), Row("r", ["p"], ["n"])]
    with pytest.raises(DecantError, match="`negative`"):
        check(content)


@pytest.mark.parametrize("content", [{"query": "q"}, {"query": "q", "positive": None, "negative": []}])
def test_a_train_row_may_be_a_query_alone_and_no_other_may(content):
    rows, _ = check(content, {"query": "r", "candidates": ["a", "b"]}, labelled=False)
    assert rows == [Row("q"), Row("r", unlabelled=["a", "b"])]
    with pytest.raises(DecantError, match="there is no `positive`"):
        check(content)


@pytest.mark.parametrize(
    "content, fault",
    [
        (without("positive"), "there is no `positive`"),  # negatives of nothing
        (record(positive=[]), "`positive` is empty"),
        (record(positive=[], negative=[]), "`positive` is empty"),  # nothing, written out
        (record(negative=""), "`negative[0]` is an empty string"),
        (record(negative=0), "`negative` is 0"),
    ],
)
def test_what_a_train_row_has_must_be_right(content, fault):
    with pytest.raises(DecantError) as caught:
        check(content, labelled=False)
    assert fault in caught.value.problem


def test_a_query_alone_does_not_stand_among_labelled_rows():
    with pytest.raises(DecantError, match=r"line 2: the row is not labelled"):
        check(record(), {"query": "r"}, labelled=False)


def test_a_duplicate_query_is_refused():
    with pytest.raises(DecantError, match=r"line 3: the query 'q' is in an earlier row too") as caught:
        check(record(), record(query="other"), record(positive=["p2"]))
    assert "`merge` or `keep`" in caught.value.remedy


def test_duplicate_queries_are_kept_as_rows_and_counted():
    rows, faults = check(record(), record(query="r"), record(positive=["p2"]), record(), duplicates="keep")
    assert rows == [Row("q", ["p"], ["n"]), Row("r", ["p"], ["n"]), Row("q", ["p2"], ["n"]), Row("q", ["p"], ["n"])]
    assert faults.duplicate_queries == 2


def test_a_conflict_between_kept_rows_is_let_pass():
    rows, faults = check(record(), record(positive=["n"], negative=["p"]), duplicates="keep")
    assert rows == [Row("q", ["p"], ["n"]), Row("q", ["n"], ["p"])]
    assert faults.conflicting_labels == 0


def test_duplicate_queries_are_merged_in_the_first_ones_place():
    rows, faults = check(
        record(), record(query="r"), record(positive=["p", "p2"], negative=["m", "n"]), duplicates="merge"
    )
    assert rows == [Row("q", ["p", "p2"], ["n", "m"]), Row("r", ["p"], ["n"])]
    assert faults == Faults(duplicate_queries=1, repeated_candidates=0, conflicting_labels=0)


@pytest.mark.parametrize("reverse", [False, True])
def test_on_merging_positive_wins_and_the_conflict_is_counted(reverse):
    records = [record(positive=["p"], negative=["x", "n"]), record(positive=["x"], negative=["p", "n"])]
    [row], faults = check(*(records[::-1] if reverse else records), duplicates="merge")
    assert sorted(row.positive) == ["p", "x"]
    assert row.negative == ["n"]
    assert faults == Faults(duplicate_queries=1, repeated_candidates=0, conflicting_labels=2)


def test_three_rows_merge_into_one():
    records = [record(positive=[p], negative=[n]) for p, n in (("a", "b"), ("c", "d"), ("b", "e"))]
    [row], faults = check(*records, duplicates="merge")
    assert row == Row("q", ["a", "c", "b"], ["d", "e"])
    assert faults == Faults(duplicate_queries=2, repeated_candidates=0, conflicting_labels=1)


def test_a_merge_that_leaves_no_negative_is_refused():
    with pytest.raises(DecantError, match=r"line 2: merged .* no negative is left") as caught:
        check(record(positive=["p"], negative=["n"]), record(positive=["n"], negative=["p"]), duplicates="merge")
    assert "`keep`" in caught.value.remedy


def test_unlabelled_duplicates_merge():
    records = [{"query": "q", "candidates": ["a", "b"]}, {"query": "q", "candidates": ["b", "c"]}]
    assert check(*records, duplicates="merge", labelled=False)[0] == [Row("q", unlabelled=["a", "b", "c"])]


def test_a_query_in_another_spelling_is_another_query():
    assert len(check(record(query="Q"), record(query="q"))[0]) == 2


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("Café au lait", "CAFÉ AU LAIT!", True),  # case and punctuation
        ("cafe\u0301", "café", True),  # a combining accent
        ("ＦＵＬＬ　ｗｉｄｔｈ", "full width", True),
        ("  a\t b\n", "a b", True),
        ("STRASSE", "straße", True),
        ("C", "C++", False),  # a symbol makes another word
        ("naïve", "naive", False),  # an accent too
        ("?", "!", False),  # punctuation alone is not folded away
        ("no. 1", "no. 2", False),
    ],
)
def test_near_duplicates_differ_in_case_punctuation_and_white_space_alone(one, other, same):
    assert (normalise(one) == normalise(other)) == same


@FUZZ
@given(st.text(max_size=30))
def test_white_space_and_unicode_forms_never_make_a_difference_and_no_text_folds_to_nothing(text):
    assert bool(normalise(text)) == bool(text.strip())
    assert normalise(f"\t{text} \n") == normalise(text)
    assert normalise(unicodedata.normalize("NFD", text)) == normalise(text)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=5)
    | st.text(alphabet=st.characters(exclude_categories=()), max_size=5),  # halves of surrogate pairs too
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
keys = st.sampled_from(["query", "positive", "negative", "candidates", "other"])
likely = st.dictionaries(
    keys, st.sampled_from(["a", "b", "c"]) | st.lists(st.sampled_from("abc"), max_size=3) | anything
)


@FUZZ
@given(
    st.lists(likely | anything, max_size=5),
    st.sampled_from(["keep", "merge", "refuse"]),
    st.booleans(),
)
def test_whatever_comes_in_rows_or_a_message_come_out(records, duplicates, labelled):
    try:
        rows, faults = check(*records, duplicates=duplicates, labelled=labelled)
    except DecantError:
        return
    assert rows
    assert len(rows) + (faults.duplicate_queries if duplicates == "merge" else 0) == len(records)
    for row in rows:
        assert not row.negative or row.positive
        assert not row.unlabelled or not row.positive
        assert not labelled or row.negative  # what is not there can be mined for train alone
        assert len(set(row.candidates)) == len(row.candidates)
        assert all(isinstance(text, str) and text.strip() and text.encode() for text in (row.query, *row.candidates))
    assert len({row.labelled for row in rows}) == 1
    if duplicates != "keep":
        assert len({row.query for row in rows}) == len(rows)
