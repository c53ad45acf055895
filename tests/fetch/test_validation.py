"""The validator lets through what keeps the contract, counts what it mends, and names everything else."""

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.data.files import Unreadable
from decant.data.sets import Row, normalise
from decant.errors import DecantError
from decant.fetch.faults import KINDS, Faults
from tests.support.validated import validated

FUZZ = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def record(**changes) -> dict:
    return {"query": "q", "positive": ["p"], "negative": ["n"], **changes}


def check(*records, duplicates="refuse", labelled=True, faults="refuse", **options) -> tuple[list[Row], Faults]:
    numbered = [(f"own.jsonl, line {number}", content) for number, content in enumerate(records, start=1)]
    return validated(numbered, duplicates, labelled=labelled, faults=faults, layout="rows", **options)


def without(key: str) -> dict:
    content = record()
    del content[key]
    return content


@pytest.mark.parametrize(
    "broken, kind, told",
    [
        (record(positive=[]), "no_positive", ""),
        (record(negative=[]), "no_negative", ""),
        (without("positive"), "no_positive", ""),
        (without("negative"), "no_negative", ""),
        (record(positive=None), "no_positive", ""),
        (without("query"), "no_query", ""),
        (record(query=7), "not_a_string", "`query` is 7, not a string"),
        (record(query=["q"]), "not_a_string", "`query` is ['q'], not a string"),
        (record(query=""), "invisible", "`query` is an empty string"),
        (record(query=" \t\n\u3000"), "invisible", "`query` is"),  # white space of every kind
        (record(query="\ufeff\u200b"), "invisible", r"\\ufeff\\u200b"),  # a mark, and a blank of no width
        (record(query=7 * [10**40]), "not_a_string", "…"),  # whatever is long is cut
        (record(query="half \ud83d"), "broken_text", "`query` holds half of a surrogate pair"),
        (record(positive=5), "not_a_string", "`positive` is 5"),
        (record(positive={"p": 1}), "not_a_string", "`positive` is {'p': 1}"),  # texts with grades
        (record(positive=b"p"), "not_a_string", "`positive` is b'p'"),
        (Unreadable("not valid JSON", "mend it"), "unreadable", "not valid JSON"),
    ],
)
def test_a_row_that_is_refused_names_place_and_remedy(broken, kind, told):
    with pytest.raises(DecantError) as caught:
        check(record(query="sound"), broken)
    assert "own: 1 fault in 2 rows" in caught.value.problem
    assert f"  {KINDS[kind]}: 1\n    own.jsonl, line 2" in caught.value.problem
    assert told in caught.value.problem
    assert len(caught.value.problem) < 300
    assert "`faults` to `drop`" in caught.value.remedy
    rows, faults = check(record(query="sound"), broken, faults="drop")
    assert rows == [Row("sound", ["p"], ["n"])]
    assert faults.counts == {kind: 1}
    assert (faults.rows, faults.rows_left_out) == (2, 1)


@pytest.mark.parametrize(
    "broken, kind, told",
    [
        (record(positive=["p", 3.5]), "not_a_string", "`positive[1]` is 3.5, not a string"),
        (record(negative=["n", None]), "not_a_string", "`negative[1]` is None, not a string"),
        (record(negative=["n", ["m"]]), "not_a_string", "`negative[1]` is ['m'], not a string"),  # a list in the list
        (record(negative=["n", " "]), "invisible", "`negative[1]` is"),
        (record(negative=["n", "\ufeff"]), "invisible", "`negative[1]` is"),
        (record(positive=["p", "\u2060\u00ad\u3164"]), "invisible", "`positive[1]` is"),  # of no width, and a filler
        (record(negative=["n", "\udc00"]), "broken_text", "`negative[1]` holds half of a surrogate pair"),
        (record(negative=["n", "p"]), "both_lists", "'p' is both positive and negative"),
        (record(negative=["n", "Ｐ!"]), "both_lists", "'Ｐ!' is both positive (as 'p') and negative"),  # as mine folds
    ],
)
def test_a_text_that_is_refused_is_left_out_of_its_row_alone(broken, kind, told):
    with pytest.raises(DecantError) as caught:
        check(record(query="sound"), broken)
    assert f"  {KINDS[kind]}: 1\n    own.jsonl, line 2: " in caught.value.problem
    assert told in caught.value.problem
    rows, faults = check(record(query="sound"), broken, faults="drop")
    assert rows == [Row("sound", ["p"], ["n"]), Row("q", ["p"], ["n"])]
    assert faults.counts == {kind: 1}
    assert (faults.rows_left_out, faults.texts_left_out) == (0, 1)


@pytest.mark.parametrize("broken", [record(positive=[3]), record(negative=[""]), record(negative="p")])
def test_a_row_of_which_too_little_is_left_is_left_out_too_and_its_fault_is_counted_once(broken):
    rows, faults = check(record(query="sound"), broken, faults="drop")
    assert rows == [Row("sound", ["p"], ["n"])]
    assert (faults.total, faults.rows_left_out, faults.texts_left_out) == (1, 1, 1)


def test_all_faults_are_counted_and_the_first_five_of_a_kind_are_shown():
    broken = [record(query=f"q{n}", positive=[]) for n in range(9)]
    with pytest.raises(DecantError) as caught:
        check(record(), *broken, record(query=""), Unreadable("a fault", ""))
    assert "own: 11 faults in 12 rows" in caught.value.problem
    assert f"{KINDS['no_positive']}: 9" in caught.value.problem
    assert [f"line {n}\n" in caught.value.problem for n in (2, 6, 7, 10)] == [True, True, False, False]
    assert "… and 4 more" in caught.value.problem


@pytest.mark.parametrize("max_dropped, refused", [(0.2, True), (0.25, False)])
def test_more_than_a_share_is_not_dropped(max_dropped, refused):
    records = [*(record(query=f"q{n}") for n in range(3)), record(positive=[])]
    if refused:
        with pytest.raises(DecantError, match="1 of 4 rows and 0 of 7 candidates would be left out") as caught:
            check(*records, faults="drop", max_dropped=max_dropped)
        assert "`max_dropped`" in caught.value.remedy
    else:
        assert len(check(*records, faults="drop", max_dropped=max_dropped)[0]) == 3


def test_candidates_nearly_equal_to_a_positive_are_counted_and_stay():
    positive = "compute the singular value decomposition of a dense matrix with lapack"
    near = "Compute the singular value decomposition of a sparse matrix with LAPACK"
    rows, faults = check(record(positive=[positive], negative=["another text", near, "LAPACK with matrix"]))
    assert rows[0].negative == ["another text", near, "LAPACK with matrix"]
    assert (faults.near_duplicates, faults.total) == (1, 0)


def test_a_sound_row_is_taken_as_it_is():
    rows, faults = check(record(query=" Q ", positive=["b", "a"], negative=("m", "n ")))
    assert rows == [Row(" Q ", ["b", "a"], ["m", "n "])]
    assert faults.total == 0


def test_one_text_stands_for_a_list_of_one():
    assert check(record(positive="p", negative="n"))[0] == [Row("q", ["p"], ["n"])]


def test_other_columns_are_left_aside():
    assert check(record(source=None, kept=3))[0] == [Row("q", ["p"], ["n"])]


def test_candidates_that_come_again_in_a_row_are_taken_once_and_counted():
    rows, faults = check(record(positive=["p", "p"], negative=["n", "m", "n", "n"]))
    assert rows == [Row("q", ["p"], ["n", "m"])]
    assert faults.repeated_candidates == 3


def test_unlabelled_candidates_are_taken_for_training_alone():
    unlabelled = {"query": "q", "candidates": ["a", "b", "a"]}
    rows, faults = check(unlabelled, labelled=False)
    assert rows == [Row("q", unlabelled=["a", "b"])]
    assert faults.repeated_candidates == 1
    with pytest.raises(DecantError, match="rows without labels, which dev and test need: 1"):
        check(unlabelled)


@pytest.mark.parametrize("candidates", [["a"], ["a", "a"], []])
def test_one_candidate_is_no_ranking(candidates):
    with pytest.raises(DecantError, match="rows with fewer than two candidates: 1"):
        check({"query": "q", "candidates": candidates}, labelled=False)


@pytest.mark.parametrize("duplicates", ["keep", "merge", "refuse"])
def test_labelled_and_unlabelled_rows_do_not_mix(duplicates):
    unlabelled = {"query": "r", "candidates": ["a", "b"]}
    with pytest.raises(DecantError, match=r"own\.jsonl, line 2: the row is not labelled, unlike the first"):
        check(record(), unlabelled, record(query="s"), duplicates=duplicates, labelled=False)


@pytest.mark.parametrize("content", [without("negative"), record(negative=None), record(negative=[])])
def test_a_train_row_may_lack_negatives_and_no_other_may(content):
    assert check(content, record(query="r"), labelled=False)[0] == [Row("q", ["p"]), Row("r", ["p"], ["n"])]
    with pytest.raises(DecantError, match="rows without a negative: 1"):
        check(content)


@pytest.mark.parametrize("content", [{"query": "q"}, {"query": "q", "positive": None, "negative": []}])
def test_a_train_row_may_be_a_query_alone_and_no_other_may(content):
    rows, _ = check(content, {"query": "r", "candidates": ["a", "b"]}, labelled=False)
    assert rows == [Row("q"), Row("r", unlabelled=["a", "b"])]
    with pytest.raises(DecantError, match="rows without labels"):
        check({"query": "r", "candidates": ["a", "b"]}, content)


@pytest.mark.parametrize(
    "content, fault",
    [
        (without("positive"), "no_positive"),  # negatives of nothing
        (record(positive=[]), "no_positive"),
        (record(positive=[], negative=[]), "no_positive"),  # nothing, written out
        (record(negative=""), "invisible"),
        (record(negative=0), "not_a_string"),
    ],
)
def test_what_a_train_row_has_must_be_right(content, fault):
    with pytest.raises(DecantError) as caught:
        check(record(query="sound"), content, labelled=False)
    assert KINDS[fault] in caught.value.problem


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


def test_a_conflict_between_kept_rows_is_a_fault_of_the_negative():
    records = (
        record(negative=["n", "N2"]),
        record(positive=["n2."], negative=["m"]),
        record(query="r", positive=["n"], negative=["m"]),
    )
    with pytest.raises(DecantError, match="line 1: 'N2' is negative here and positive in another row"):
        check(*records, duplicates="keep")
    rows, faults = check(*records, duplicates="keep", faults="drop")
    assert rows == [Row("q", ["p"], ["n"]), Row("q", ["n2."], ["m"]), Row("r", ["n"], ["m"])]
    assert (faults.counts, faults.texts_left_out) == ({"both_lists": 1}, 1)


def test_duplicate_queries_are_merged_in_the_first_ones_place():
    rows, faults = check(
        record(), record(query="r"), record(positive=["p", "p2"], negative=["m", "n"]), duplicates="merge"
    )
    assert rows == [Row("q", ["p", "p2"], ["n", "m"]), Row("r", ["p"], ["n"])]
    assert (faults.duplicate_queries, faults.repeated_candidates, faults.conflicting_labels) == (1, 0, 0)


@pytest.mark.parametrize("reverse", [False, True])
def test_on_merging_positive_wins_and_the_conflict_is_counted(reverse):
    records = [record(positive=["p"], negative=["x", "n"]), record(positive=["x"], negative=["p", "n"])]
    [row], faults = check(*(records[::-1] if reverse else records), duplicates="merge")
    assert sorted(row.positive) == ["p", "x"]
    assert row.negative == ["n"]
    assert (faults.duplicate_queries, faults.repeated_candidates, faults.conflicting_labels) == (1, 0, 2)


def test_three_rows_merge_into_one():
    records = [record(positive=[p], negative=[n]) for p, n in (("a", "b"), ("c", "d"), ("b", "e"))]
    [row], faults = check(*records, duplicates="merge")
    assert row == Row("q", ["a", "c", "b"], ["d", "e"])
    assert (faults.duplicate_queries, faults.repeated_candidates, faults.conflicting_labels) == (2, 0, 1)


def test_a_merge_that_leaves_no_negative_is_refused():
    with pytest.raises(DecantError, match=r"line 2: merged with the earlier row of the query 'q'"):
        check(record(positive=["p"], negative=["n"]), record(positive=["n"], negative=["p"]), duplicates="merge")


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
    records = [each if isinstance(each, dict) else Unreadable("no object", "") for each in records]
    try:
        rows, faults = check(*records, duplicates=duplicates, labelled=labelled, faults="drop")
    except DecantError:
        return
    merged = faults.duplicate_queries if duplicates == "merge" else 0
    assert len(rows) + merged + faults.rows_left_out == len(records) == faults.rows
    assert bool(faults.rows_left_out or faults.texts_left_out) == bool(faults.total)
    for row in rows:
        assert not row.negative or row.positive
        assert not row.unlabelled or not row.positive
        assert not labelled or row.negative  # what is not there can be mined for train alone
        assert len(set(row.candidates)) == len(row.candidates)
        assert all(isinstance(text, str) and text.strip() and text.encode() for text in (row.query, *row.candidates))
    assert len({row.labelled for row in rows}) <= 1
    if duplicates != "keep":
        assert len({row.query for row in rows}) == len(rows)
