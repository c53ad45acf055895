"""Every strategy draws the n-tuples it promises, from teacher scores made by hand."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decant.errors import DecantError
from decant.params import load_params
from decant.triplets import STRATEGY_NAMES
from decant.triplets.strategies import STRATEGIES
from tests.support.project import ROOT
from tests.support.scored_rows import FUZZ, ONE_QUERY, UNLABELLED, draw, scored, tuples


def test_the_names_that_params_allow_are_the_strategies():
    assert tuple(STRATEGIES) == STRATEGY_NAMES


@pytest.mark.parametrize(
    "strategy, positives, negatives, expected",
    [
        # the highest scores, each positive with the same ones
        ("hardest", None, 2, [("p1", ["n4", "n1"]), ("p2", ["n4", "n1"])]),
        # all there are
        ("hardest", None, 4, [("p1", ["n4", "n1", "n3", "n2"]), ("p2", ["n4", "n1", "n3", "n2"])]),
        # more positives than the query has: all of them
        ("hardest", 9, 1, [("p1", ["n4"]), ("p2", ["n4"])]),
        # both ends of the ranking
        ("by_rank", None, 2, [("p1", ["n4", "n2"]), ("p2", ["n4", "n2"])]),
        # both ends and the middle
        ("by_rank", None, 3, [("p1", ["n4", "n3", "n2"]), ("p2", ["n4", "n3", "n2"])]),
        # one negative: the hardest
        ("by_rank", None, 1, [("p1", ["n4"]), ("p2", ["n4"])]),
        # both ends of the range of scores, and what is nearest to its middle: 0.5 to 0.5625
        ("by_score", None, 3, [("p1", ["n4", "n3", "n2"]), ("p2", ["n4", "n3", "n2"])]),
        # one negative: the hardest
        ("by_score", None, 1, [("p1", ["n4"]), ("p2", ["n4"])]),
        # every positive with every negative
        ("all_pairs", None, 1, [(p, [n]) for p in ("p1", "p2") for n in ("n4", "n1", "n3", "n2")]),
        # whatever number of positives is asked for
        ("all_pairs", 1, 1, [(p, [n]) for p in ("p1", "p2") for n in ("n4", "n1", "n3", "n2")]),
        # no k is a k of one
        ("teacher_top_k", None, 2, [("n4", ["p1", "n1"])]),
        # labels aside: the top two, each with the two that the teacher ranks next
        ("teacher_top_k", 2, 2, [("n4", ["p1", "n1"]), ("p1", ["n1", "n3"])]),
        # k beyond the ranking: the last places have too few texts after them
        ("teacher_top_k", 9, 3, [("n4", ["p1", "n1", "n3"]), ("p1", ["n1", "n3", "p2"]), ("n1", ["n3", "p2", "n2"])]),
    ],
)
def test_a_strategy_draws_exactly_these_tuples(strategy, positives, negatives, expected):
    drawn = draw(scored(ONE_QUERY), strategy, positives, negatives, seed=0)
    score = {text: value for _, text, _, value in ONE_QUERY}
    assert tuples(drawn.table) == [("q", p, n, [score[p], *(score[text] for text in n)]) for p, n in expected]
    assert drawn.queries == 1
    assert drawn.labelled == (strategy != "teacher_top_k")


@pytest.mark.parametrize(
    "scores, count, expected",
    [
        # most are easy: the places of the ranking are no measure of the scores
        ([9.0, 8.0, 1.0, 0.75, 0.5, 0.25, 0.0], 3, [9.0, 8.0, 0.0]),
        # each of the evenly spaced 8, 5, 2 and −1 takes the nearest that is left, and the hardest comes first
        ([8.0, 5.25, 5.0, -1.0], 4, [8.0, 5.25, 5.0, -1.0]),
        # the harder of two at the same distance
        ([4.0, 3.0, 1.0, 0.0], 3, [4.0, 3.0, 0.0]),
        # no range at all
        ([2.0, 2.0, 2.0], 2, [2.0, 2.0]),
    ],
)
def test_by_score_spreads_over_the_range_of_scores(scores, count, expected):
    rows = [("q", "p", 1, 0.5)] + [("q", f"n{place}", 0, score) for place, score in enumerate(scores)]
    assert tuples(draw(scored(rows), "by_score", None, count, 0).table)[0][3][1:] == expected


def test_random_negatives_are_distinct_and_drawn_anew_for_each_positive():
    draws = [tuples(draw(scored(ONE_QUERY), "random", None, 2, seed).table) for seed in range(40)]
    seen = {text for drawn in draws for _, _, negatives, _ in drawn for text in negatives}
    assert seen == {"n1", "n2", "n3", "n4"}
    for drawn in draws:
        assert [positive for _, positive, _, _ in drawn] == ["p1", "p2"]
        assert all(len(set(negatives)) == 2 for _, _, negatives, _ in drawn)
    assert any(first[2] != second[2] for first, second in draws)


def test_random_takes_every_negative_where_all_are_asked_for():
    for _, _, negatives, _ in tuples(draw(scored(ONE_QUERY), "random", None, 4, seed=3).table):
        assert sorted(negatives) == ["n1", "n2", "n3", "n4"]


def test_scores_stand_in_the_order_of_positive_and_negatives():
    score = {text: value for _, text, _, value in ONE_QUERY}
    for _, positive, negatives, scores in tuples(draw(scored(ONE_QUERY), "random", None, 3, seed=1).table):
        assert scores == [score[positive], *(score[text] for text in negatives)]


@pytest.mark.parametrize("strategy", ["hardest", "random", "by_rank", "by_score", "band", "mixed"])
def test_one_positive_a_query_is_chosen_among_all_by_seed(strategy):
    chosen = {tuples(draw(scored(ONE_QUERY), strategy, 1, 2, seed).table)[0][1] for seed in range(20)}
    assert chosen == {"p1", "p2"}
    assert draw(scored(ONE_QUERY), strategy, 1, 2, seed=0).table.num_rows == 1


@pytest.mark.parametrize("strategy", ["hardest", "random", "by_rank", "by_score", "band", "mixed"])
def test_several_positives_a_query_are_distinct_and_in_the_order_of_the_set(strategy):
    rows = [("q", "p0", 1, 0.5), *ONE_QUERY]
    chosen = {
        tuple(positive for _, positive, _, _ in tuples(draw(scored(rows), strategy, 2, 2, seed).table))
        for seed in range(30)
    }
    assert chosen == {("p0", "p1"), ("p0", "p2"), ("p1", "p2")}


@pytest.mark.parametrize("strategy", ["hardest", "random", "by_rank", "by_score", "band", "mixed"])
def test_positives_of_the_highest_grades_are_taken_first_and_equal_ones_at_random(strategy):
    rows = [("q", f"p{place}", grade, 0.5) for place, grade in enumerate([1, 3, 2, 1, 2])] + ONE_QUERY[2:]

    def chosen(count):
        drawn = [tuples(draw(scored(rows), strategy, count, 2, seed).table) for seed in range(30)]
        return {tuple(positive for _, positive, _, _ in each) for each in drawn}

    assert chosen(1) == {("p1",)}
    assert chosen(2) == {("p1", "p2"), ("p1", "p4")}
    assert chosen(3) == {("p1", "p2", "p4")}
    assert chosen(4) == {("p0", "p1", "p2", "p4"), ("p1", "p2", "p3", "p4")}


@pytest.mark.parametrize("strategy", [*STRATEGIES, "replay"])
def test_equal_grades_of_whatever_height_draw_as_labels_do(strategy):
    rows = [[(f"q{number}", *pair) for _, *pair in ONE_QUERY] for number in range(30)]
    graded = [[(query, text, 3 * label, score) for query, text, label, score in row] for row in rows]
    count = 1 if strategy == "all_pairs" else 2
    first, second = (draw(scored(*some), strategy, 1, count, seed=7).table for some in (rows, graded))
    assert first.equals(second)


@pytest.mark.parametrize("strategy", [*STRATEGIES, "replay"])
def test_the_same_seed_draws_the_same_tuples(strategy):
    rows = [[(f"q{number}", *pair) for _, *pair in ONE_QUERY] for number in range(30)]
    count = 1 if strategy == "all_pairs" else 2
    positives = None if strategy == "all_pairs" else 1
    first, second, other = (draw(scored(*rows), strategy, positives, count, seed).table for seed in (7, 7, 8))
    assert first.equals(second)
    assert first.equals(other) == (strategy in ("all_pairs", "teacher_top_k", "replay"))


def test_of_the_shape_of_scidocs_the_presets_encode_less_than_a_tenth_of_the_published_texts():
    rows = [("q", f"p{n}", 1, n / 8) for n in range(5)] + [("q", f"n{n}", 0, n / 32) for n in range(25)]

    def texts(preset: str) -> int:
        keys = load_params(ROOT / f"presets/{preset}.yaml").embedding.triplets
        return sum(
            2 + len(drawn[2])
            for drawn in tuples(draw(scored(rows), keys.strategy, keys.positives, keys.negatives, seed=0).table)
        )

    assert texts("published") == 375
    assert texts("qwen3") == texts("qwen3-0.6b") == 35


def test_equal_scores_are_ranked_in_the_order_of_the_set():
    rows = [("q", "p", 1, 0.5), ("q", "n1", 0, 0.25), ("q", "n2", 0, 0.25), ("q", "n3", 0, 0.25)]
    assert tuples(draw(scored(rows), "hardest", None, 2, 0).table)[0][2] == ["n1", "n2"]
    assert tuples(draw(scored(rows), "teacher_top_k", 1, 2, 0).table)[0][2] == ["n1", "n2"]


@pytest.mark.parametrize("strategy", ["hardest", "random", "by_rank", "by_score", "band", "mixed"])
def test_tuples_with_too_few_negatives_are_left_out_and_counted(strategy):
    poor = [("poor", "p3", 1, 0.5), ("poor", "p4", 1, 0.5), ("poor", "n1", 0, 0.5)]
    drawn = draw(scored(ONE_QUERY, poor), strategy, None, 3, seed=0)
    assert drawn.too_few == 2
    assert drawn.queries == 1
    assert set(drawn.table.column("query").to_pylist()) == {"q"}


@pytest.mark.parametrize("strategy", ["hardest", "random", "by_rank", "by_score", "band", "mixed", "teacher_top_k"])
def test_a_set_without_enough_negatives_anywhere_is_refused(strategy):
    with pytest.raises(DecantError, match="no query has 6 negatives") as caught:
        draw(scored(ONE_QUERY), strategy, 1, 6, seed=0)
    assert "triplets.negatives" in caught.value.remedy


def test_a_query_without_any_positive_gives_no_tuple():
    none = [("none", "n1", 0, 0.5), ("none", "n2", 0, 0.25)]
    drawn = draw(scored(none, ONE_QUERY), "hardest", None, 2, seed=0)
    assert set(drawn.table.column("query").to_pylist()) == {"q"}
    assert drawn.queries == 1


@pytest.mark.parametrize(
    "strategy, expected",
    [
        ("hardest", [("n4", ["p1", "n1"])]),
        ("by_rank", [("n4", ["p1", "n2"])]),
        ("teacher_top_k", [("n4", ["p1", "n1"])]),
    ],
)
def test_without_labels_the_teachers_best_candidate_is_the_positive(strategy, expected):
    drawn = draw(scored(UNLABELLED), strategy, 1, 2, seed=0)
    assert [(positive, negatives) for _, positive, negatives, _ in tuples(drawn.table)] == expected
    assert not drawn.labelled


def test_a_label_of_any_grade_above_zero_is_positive():
    rows = [("q", "best", 3, 0.5), ("q", "fair", 1, 0.5), ("q", "none", 0, 0.5)]
    assert tuples(draw(scored(rows), "hardest", None, 1, 0).table) == [
        ("q", "best", ["none"], [0.5, 0.5]),
        ("q", "fair", ["none"], [0.5, 0.5]),
    ]


def test_a_query_kept_twice_gives_the_tuples_of_each_row():
    first = [("q", "p1", 1, 0.5), ("q", "n1", 0, 0.5), ("q", "n2", 0, 0.5)]
    for second in (first, [("q", "p2", 1, 0.5), ("q", "n3", 0, 0.5)], [("q", "n1", 1, 0.5), ("q", "p1", 0, 0.5)]):
        drawn = draw(scored(first, second), "all_pairs", None, 1, seed=0)
        expected = [(row[0][1], [text]) for row in (first, second) for _, text, _, _ in row[1:]]
        assert [(positive, negatives) for _, positive, negatives, _ in tuples(drawn.table)] == expected
        assert drawn.queries == 2


def test_an_unlabelled_query_kept_twice_gives_a_tuple_of_each_row():
    """Even where nothing but the row's number tells where one ends."""
    drawn = draw(scored(UNLABELLED[:3], UNLABELLED[3:]), "hardest", 1, 2, seed=0)
    assert [(positive, negatives) for _, positive, negatives, _ in tuples(drawn.table)] == [
        ("p1", ["n1", "p2"]),
        ("n4", ["n3", "n2"]),
    ]
    assert drawn.queries == 2


def test_rows_that_are_missing_leave_no_trace():
    """A row none of whose pairs has a score has no number in the file."""
    table = scored(ONE_QUERY, ONE_QUERY[:3], ONE_QUERY, UNLABELLED, ONE_QUERY)
    without = table.filter(pa.array([number != 1 for number in table["row"].to_pylist()]))
    expected = draw(scored(ONE_QUERY, ONE_QUERY, UNLABELLED, ONE_QUERY), "hardest", None, 2, 0)
    assert draw(without, "hardest", None, 2, 0) == expected


def test_one_row_without_labels_makes_the_draw_unlabelled():
    """Though it gives no tuple; but a pair without a label, in a row that has some, is a negative."""
    alone = [("alone", "text", None, 0.5)]
    drawn = draw(scored(ONE_QUERY, alone, ONE_QUERY), "hardest", None, 2, 0)
    assert (drawn.labelled, drawn.queries, drawn.too_few) == (False, 2, 1)
    mixed = [*ONE_QUERY[:3], ("q", "unknown", None, 2.0)]
    drawn = draw(scored(mixed), "hardest", 1, 2, 0)
    assert tuples(drawn.table)[0][2] == ["unknown", "n1"]
    assert drawn.labelled


def test_random_draws_are_uniform():
    """One of two positives and two of four negatives, from 6000 rows: each as often as the others, to five sigma."""
    drawn = tuples(draw(scored(*[ONE_QUERY] * 6000), "random", 1, 2, seed=5).table)
    for counts, cases in (
        (Counter(positive for _, positive, _, _ in drawn), 2),
        (Counter(tuple(negatives) for _, _, negatives, _ in drawn), 4 * 3),
        (Counter((positive, negatives[0]) for _, positive, negatives, _ in drawn), 2 * 4),
    ):
        share = 1 / cases
        assert len(counts) == cases
        assert max(abs(count - 6000 * share) for count in counts.values()) < 5 * (6000 * share * (1 - share)) ** 0.5


@FUZZ
@given(
    st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=12),
    st.integers(1, 11),
    st.sampled_from(["hardest", "random", "by_rank", "by_score", "band", "mixed"]),
    st.integers(0, 2**32 - 1),
)
def test_every_tuple_has_exactly_the_negatives_asked_for(scores, negatives, strategy, seed):
    rows = [("q", f"t{index}", int(index == 0), score) for index, score in enumerate(scores)]
    if negatives >= len(scores):
        with pytest.raises(DecantError):
            draw(scored(rows), strategy, 1, negatives, seed)
        return
    drawn = draw(scored(rows), strategy, 1, negatives, seed)
    (_, positive, chosen, _), *more = tuples(drawn.table)
    assert (positive, more) == ("t0", [])
    assert len(chosen) == len(set(chosen)) == negatives
    assert "t0" not in chosen
