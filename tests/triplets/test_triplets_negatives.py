"""Which negatives are left to choose among: bands of the ranking, half hard and half random, false negatives."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from decant.errors import DecantError
from decant.train.columns import tuples_info
from decant.triplets.run import write_tuples
from tests.support.scored_rows import ONE_QUERY, UNLABELLED, draw, drawing, scored, tuples, write_scores_file

# The negatives' ranking is n4 1.0, n1 0.75, n3 0.5, n2 0.125; the positives are p1 0.875 and p2 0.25.


def negatives_of(*arguments, **options) -> list[tuple[str, ...]]:
    return [tuple(texts) for _, _, texts, _ in tuples(draw(scored(ONE_QUERY), *arguments, **options).table)]


@pytest.mark.parametrize(
    "band, count, expected",
    [
        ((0, 4), 1, {("n4",), ("n1",), ("n3",), ("n2",)}),  # all there are
        ((0, 2), 1, {("n4",), ("n1",)}),  # the end is left out
        ((1, 3), 1, {("n1",), ("n3",)}),  # 0 is the hardest
        ((1, 3), 2, {("n1", "n3"), ("n3", "n1")}),  # the whole band
        ((2, 99), 1, {("n3",), ("n2",)}),  # a band that goes beyond the ranking ends with it
    ],
)
def test_a_band_is_drawn_from_at_random(band, count, expected):
    draws = [negatives_of("band", None, count, seed, band=band) for seed in range(40)]
    assert {each for drawn in draws for each in drawn} == expected
    assert any(first != second for first, second in draws)  # anew for each positive


def test_an_n_tuple_whose_band_is_too_short_is_left_out_and_counted():
    longer = [("r", f"t{number}", int(number == 0), 0.5) for number in range(8)]
    drawn = draw(scored(ONE_QUERY, longer), "band", None, 3, 0, band=(2, 6))
    assert (drawn.queries, drawn.too_few) == (1, 2)
    assert set(drawn.table["query"].to_pylist()) == {"r"}


def test_a_band_that_no_ranking_reaches_is_told():
    with pytest.raises(DecantError, match="no query has 2 negatives at places 3 to 9 of its ranking") as caught:
        draw(scored(ONE_QUERY), "band", None, 2, 0, band=(3, 9))
    assert "triplets.band_from" in caught.value.remedy


@pytest.mark.parametrize(
    "count, hard, drawn",
    [
        (1, ("n4",), 0),  # the odd one is a hard one
        (2, ("n4",), 1),
        (3, ("n4", "n1"), 1),
        (4, ("n4", "n1"), 2),
    ],
)
def test_mixed_is_half_the_hardest_and_half_random_from_the_rest(count, hard, drawn):
    draws = [each for seed in range(40) for each in negatives_of("mixed", None, count, seed)]
    assert {each[: len(hard)] for each in draws} == {hard}
    rest = {"n4", "n1", "n3", "n2"} - set(hard)
    assert {text for each in draws for text in each[len(hard) :]} == (rest if drawn else set())
    assert all(len(set(each)) == count for each in draws)


def test_the_random_half_is_uniform():
    """One of three, from 6000 rows: each as often as the others, to five sigma."""
    drawn = tuples(draw(scored(*[ONE_QUERY] * 6000), "mixed", 1, 2, seed=5).table)
    counts = Counter(negatives[1] for _, _, negatives, _ in drawn)
    assert counts.keys() == {"n1", "n3", "n2"}
    assert max(abs(count - 2000) for count in counts.values()) < 5 * (6000 * (1 / 3) * (2 / 3)) ** 0.5


@pytest.mark.parametrize(
    "margin, expected, dropped",
    [
        # what the teacher ranks above the positive, each positive by its own score
        (0.0, [("p1", ["n1", "n3", "n2"]), ("p2", ["n2"])], 4),
        # a score that is the limit itself stays
        (0.125, [("p1", ["n1", "n3", "n2"]), ("p2", ["n2"])], 4),
        (0.25, [("p1", ["n3", "n2"])], 2 + 4),
        # below 0: only what is far above
        (-0.125, [("p1", ["n4", "n1", "n3", "n2"]), ("p2", ["n2"])], 3),
        (-9.0, [("p1", ["n4", "n1", "n3", "n2"]), ("p2", ["n4", "n1", "n3", "n2"])], 0),
        (None, [("p1", ["n4", "n1", "n3", "n2"]), ("p2", ["n4", "n1", "n3", "n2"])], 0),
    ],
)
def test_false_negatives_are_left_out_for_each_positive_and_counted(margin, expected, dropped):
    drawn = draw(scored(ONE_QUERY), "all_pairs", None, 1, 0, false_negative_margin=margin)
    found: dict[str, list[str]] = {}
    for _, positive, (negative,), _ in tuples(drawn.table):
        found.setdefault(positive, []).append(negative)
    assert list(found.items()) == expected
    assert drawn.false_negatives == dropped
    assert drawn.too_few == 2 - len(expected)


@pytest.mark.parametrize(
    "share, expected, dropped",
    [
        # n4, above the positive; of a cosine, the limit is the share of it
        (1.0, [("p1", ["n1", "n3", "n2"]), ("p2", ["n2"])], 1 + 3),
        # above 0.4375 and 0.125: a score that is the limit itself stays
        (0.5, [("p1", ["n2"]), ("p2", ["n2"])], 3 + 3),
        # above 0
        (0.0, [], 8),
    ],
)
def test_a_share_is_of_the_positives_score(share, expected, dropped):
    easy = [("easy", "p", 1, 1.0), ("easy", "n", 0, 0.0)]
    drawn = draw(scored(ONE_QUERY, easy), "all_pairs", None, 1, 0, false_negative_share=share)
    found: dict[str, list[str]] = {}
    for _, positive, (negative,), _ in tuples(drawn.table):
        found.setdefault(positive, []).append(negative)
    assert list(found.items()) == [*expected, ("p", ["n"])]
    assert drawn.false_negatives == dropped


def test_a_share_of_a_logit_below_zero_is_a_limit_below_it():
    row = [
        ("q", "p", 1, -2.0),
        ("q", "n1", 0, -1.75),
        ("q", "n2", 0, -2.25),
        ("q", "n3", 0, -3.0),
        ("q", "n4", 0, -3.25),
    ]
    drawn = draw(scored(row), "all_pairs", None, 1, 0, false_negative_share=0.5)
    assert [negatives for _, _, negatives, _ in tuples(drawn.table)] == [["n3"], ["n4"]]


@pytest.mark.parametrize(
    "limit, positives, expected",
    [
        # what the teacher ranks above the best of the row's positives; n1 and n3, above p2 alone, are left out of its
        ({"false_negative_margin": 0.0}, None, [("p1", "n1 n3 n2"), ("p2", "n2"), ("n4", "n1 n3 n2")]),
        ({"false_negative_share": 1.0}, None, [("p1", "n1 n3 n2"), ("p2", "n2"), ("n4", "n1 n3 n2")]),
        # those within the margin below as well
        ({"false_negative_margin": 0.25}, None, [("p1", "n3 n2"), ("n1", "n3 n2"), ("n4", "n3 n2")]),
        # nothing so far above
        ({"false_negative_margin": -0.25}, None, [("p1", "n4 n1 n3 n2"), ("p2", "n3 n2")]),
    ],
)
def test_relabelled_negatives_are_positives_and_nobodys_negatives(limit, positives, expected):
    drawn = draw(scored(ONE_QUERY), "all_pairs", positives, 1, 0, false_negatives="relabel", **limit)
    found: dict[str, list[str]] = {}
    for _, positive, (negative,), _ in tuples(drawn.table):
        found.setdefault(positive, []).append(negative)
    assert [(positive, " ".join(negatives)) for positive, negatives in found.items()] == expected
    assert drawn.relabelled == sum(positive.startswith("n") for positive in found)
    assert drawn.labelled


def test_a_relabelled_negative_ranks_among_graded_positives_as_the_lowest():
    graded = [("q", "p1", 2, 0.5), ("q", "p2", 1, 0.25), ("q", "n1", 0, 0.75), ("q", "n2", 0, 0.125)]
    options = {"false_negatives": "relabel", "false_negative_margin": 0.0}
    chosen = [
        {
            tuple(
                positive for _, positive, *_ in tuples(draw(scored(graded), "hardest", count, 1, seed, **options).table)
            )
        }
        for count in (1, 2)
        for seed in range(20)
    ]
    assert set().union(*chosen[:20]) == {("p1",)}
    assert set().union(*chosen[20:]) == {("p1", "p2"), ("p1", "n1")}


@pytest.mark.parametrize("strategy, expected", [("hardest", ["n3", "n2"]), ("by_rank", ["n3", "n2"])])
def test_nothing_is_drawn_from_false_negatives(strategy, expected):
    drawn = draw(scored(ONE_QUERY), strategy, None, 2, 0, false_negative_margin=0.25)
    assert [(positive, negatives) for _, positive, negatives, _ in tuples(drawn.table)] == [("p1", expected)]
    assert (drawn.too_few, drawn.false_negatives) == (1, 6)


def test_a_band_counts_from_the_hardest_that_is_left():
    assert negatives_of("band", None, 1, 0, band=(0, 1), false_negative_margin=0.0) == [("n1",), ("n2",)]


def test_without_labels_the_margin_is_to_the_teachers_best_candidate():
    drawn = draw(scored(UNLABELLED), "hardest", 1, 2, 0, false_negative_margin=0.25)
    assert [(positive, negatives) for _, positive, negatives, _ in tuples(drawn.table)] == [("n4", ["n1", "n3"])]
    assert drawn.false_negatives == 1


def test_where_all_are_false_negatives_it_is_told():
    with pytest.raises(DecantError, match=r"no query has 1 negatives \(8 were left out as false") as caught:
        draw(scored(ONE_QUERY), "hardest", None, 1, 0, false_negative_margin=5.0)
    assert "lower triplets.false_negative_margin" in caught.value.remedy
    with pytest.raises(DecantError, match=r"no query has 2 negatives \(6 were left out as false") as caught:
        draw(scored(ONE_QUERY), "hardest", None, 2, 0, false_negative_share=0.5)
    assert "raise triplets.false_negative_share" in caught.value.remedy


def test_the_file_says_how_many_were_left_out_where_any_could_be(tmp_path: Path):
    folder = tmp_path / "embedding"
    folder.mkdir()
    write_scores_file(folder, scored(ONE_QUERY))
    for margin, expected in ((None, None), (0.0, b"4")):
        path = tmp_path / f"{margin}.parquet"
        write_tuples(folder, drawing("all_pairs", None, 1, false_negative_margin=margin), path)
        assert pq.read_metadata(path).metadata.get(b"false_negatives") == expected
        assert b"relabelled" not in pq.read_metadata(path).metadata
        assert tuples_info(path).labelled
    options = {"false_negative_share": 1.0, "false_negatives": "relabel"}
    write_tuples(folder, drawing("all_pairs", None, 1, **options), path)
    metadata = pq.read_metadata(path).metadata
    assert (metadata[b"false_negatives"], metadata[b"relabelled"]) == (b"2", b"1")
    assert tuples_info(path).labelled
