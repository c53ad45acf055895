"""Every strategy draws the n-tuples it promises, from teacher scores made by hand."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.errors import DecantError
from decant.files import sha256, write_json
from decant.scoring import SCHEMA as SCORES
from decant.triplets import SCHEMA, STRATEGIES, Draw, Pools, whole_rows
from decant.tuples import TuplesInfo, tuples_info
from stages.triplets import write_tuples

FUZZ = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

# The teacher's ranking is n4, p1, n1, n3, p2, n2. Scores are exact in float32.
ONE_QUERY = [
    ("q", "p1", 1, 0.875),
    ("q", "p2", 1, 0.25),
    ("q", "n1", 0, 0.75),
    ("q", "n2", 0, 0.125),
    ("q", "n3", 0, 0.5),
    ("q", "n4", 0, 1.0),
]
UNLABELLED = [(query, text, None, score) for query, text, _, score in ONE_QUERY]


class Drawn(NamedTuple):
    table: pa.Table
    queries: int
    too_few: int
    labelled: bool


def scored(*rows) -> pa.Table:
    """The scores of these rows of a set, each a list of (query, candidate, label, score)."""
    pairs = [(number, *pair) for number, row in enumerate(rows) for pair in row]
    return pa.table([list(column) for column in zip(*pairs, strict=True)], schema=SCORES)


def draw(scores, strategy, positives, negatives, seed, **limit) -> Drawn:
    """Draw from a table, or from record batches."""
    drawn = Draw(strategy, positives, negatives, seed)
    batches = scores.to_batches() if isinstance(scores, pa.Table) else scores
    table = pa.Table.from_batches(drawn.batches(batches, **limit), schema=SCHEMA)
    assert drawn.tuples == table.num_rows
    return Drawn(table, drawn.queries, drawn.too_few, drawn.labelled)


def tuples(table: pa.Table) -> list[tuple]:
    assert table.schema == SCHEMA
    return [(r["query"], r["positive"], r["negatives"], r["scores"]) for r in table.to_pylist()]


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


@pytest.mark.parametrize("strategy", ["hardest", "random", "by_rank"])
def test_one_positive_a_query_is_chosen_among_all_by_seed(strategy):
    chosen = {tuples(draw(scored(ONE_QUERY), strategy, 1, 2, seed).table)[0][1] for seed in range(20)}
    assert chosen == {"p1", "p2"}
    assert draw(scored(ONE_QUERY), strategy, 1, 2, seed=0).table.num_rows == 1


@pytest.mark.parametrize("strategy", ["hardest", "random", "by_rank"])
def test_several_positives_a_query_are_distinct_and_in_the_order_of_the_set(strategy):
    rows = [("q", "p0", 1, 0.5), *ONE_QUERY]
    chosen = {
        tuple(positive for _, positive, _, _ in tuples(draw(scored(rows), strategy, 2, 2, seed).table))
        for seed in range(30)
    }
    assert chosen == {("p0", "p1"), ("p0", "p2"), ("p1", "p2")}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_draws_the_same_tuples(strategy):
    rows = [[(f"q{number}", *pair) for _, *pair in ONE_QUERY] for number in range(30)]
    count = 1 if strategy == "all_pairs" else 2
    positives = None if strategy == "all_pairs" else 1
    first, second, other = (draw(scored(*rows), strategy, positives, count, seed).table for seed in (7, 7, 8))
    assert first.equals(second)
    assert first.equals(other) == (strategy in ("all_pairs", "teacher_top_k"))


def test_equal_scores_are_ranked_in_the_order_of_the_set():
    rows = [("q", "p", 1, 0.5), ("q", "n1", 0, 0.25), ("q", "n2", 0, 0.25), ("q", "n3", 0, 0.25)]
    assert tuples(draw(scored(rows), "hardest", None, 2, 0).table)[0][2] == ["n1", "n2"]
    assert tuples(draw(scored(rows), "teacher_top_k", 1, 2, 0).table)[0][2] == ["n1", "n2"]


@pytest.mark.parametrize("strategy", ["hardest", "random", "by_rank"])
def test_tuples_with_too_few_negatives_are_left_out_and_counted(strategy):
    poor = [("poor", "p3", 1, 0.5), ("poor", "p4", 1, 0.5), ("poor", "n1", 0, 0.5)]
    drawn = draw(scored(ONE_QUERY, poor), strategy, None, 3, seed=0)
    assert drawn.too_few == 2
    assert drawn.queries == 1
    assert set(drawn.table.column("query").to_pylist()) == {"q"}


@pytest.mark.parametrize("strategy", ["hardest", "random", "by_rank", "teacher_top_k"])
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


def reference(rows, strategy, positives, negatives) -> Iterator[tuple[int, str, str, list[str], list[float]]]:
    """The n-tuples of a strategy that draws nothing at random, row by row, with those of too few negatives."""
    for number, row in enumerate(rows):
        ranking = sorted(row, key=lambda pair: -pair[3])  # stable: equals in the order of the set
        by_label = any(label is not None for _, _, label, _ in row)
        chosen = [pair for pair in row if pair[2]] if by_label else ranking[:1]
        below = [pair for pair in ranking if pair not in chosen]
        if strategy == "hardest":
            found = [(pair, below[:negatives]) for pair in chosen]
        elif strategy == "by_rank":
            places = np.linspace(0, len(below) - 1, negatives).round().astype(int)
            found = [(pair, [below[place] for place in places] if len(below) >= negatives else []) for pair in chosen]
        elif strategy == "all_pairs":
            found = [(pair, [negative]) for pair in chosen for negative in below]
        else:
            found = [(pair, ranking[place + 1 :][:negatives]) for place, pair in enumerate(ranking[: positives or 1])]
        for pair, others in found:
            pairs = [pair, *others]
            yield number, pair[0], pair[1], [text for _, text, _, _ in others], [score for *_, score in pairs]


@st.composite
def sets(draw_from):
    """Rows of a set: few different scores, labels of all kinds, queries that come again; no text twice in a row."""
    rows = []
    for _ in range(draw_from(st.integers(1, 6))):
        query = draw_from(st.sampled_from(["a", "b"]))
        labels = draw_from(st.sampled_from([(None,), (0, 1), (0, 1, 3), (None, 0, 1)]))
        pair = st.tuples(st.sampled_from(labels), st.sampled_from([-1.5, 0.0, -0.0, 0.25, 2.0]))
        pairs = draw_from(st.lists(pair, min_size=1, max_size=9))
        rows.append([(query, f"t{place}", *pair) for place, pair in enumerate(pairs)])
    return rows


def batches_of(table: pa.Table, cuts: list[int]) -> list[pa.RecordBatch]:
    """Record batches that end at these places, where a place that comes twice makes an empty one."""
    (whole,) = table.combine_chunks().to_batches()
    ends = sorted(cut % (table.num_rows + 1) for cut in cuts)
    return [whole.slice(a, b - a) for a, b in zip([0, *ends], [*ends, table.num_rows], strict=True)]


CUTS = st.lists(st.integers(0, 10**6), max_size=8)


@FUZZ
@given(
    sets(),
    st.sampled_from(["hardest", "by_rank", "all_pairs", "teacher_top_k"]),
    st.integers(1, 4),
    st.integers(1, 5),
    CUTS,
    st.integers(1, 20),
)
def test_the_draw_is_the_obvious_one(rows, strategy, k, negatives, cuts, limit):
    negatives = 1 if strategy == "all_pairs" else negatives
    expected = list(reference(rows, strategy, k, negatives))
    kept = [each for each in expected if len(each[3]) == negatives]
    positives = k if strategy == "teacher_top_k" else None
    batches = batches_of(scored(*rows), cuts)
    if not kept:
        with pytest.raises(DecantError):
            draw(batches, strategy, positives, negatives, 0, limit=limit)
        return
    drawn = draw(batches, strategy, positives, negatives, 0, limit=limit)
    assert tuples(drawn.table) == [tuple(each) for _, *each in kept]
    assert drawn.queries == len({number for number, *_ in kept})
    assert drawn.too_few == len(expected) - len(kept)
    by_label = all(any(label is not None for _, _, label, _ in row) for row in rows)
    assert drawn.labelled == (by_label and strategy != "teacher_top_k")


@FUZZ
@given(
    sets(), st.sampled_from(list(STRATEGIES)), st.sampled_from([None, 1, 2]), st.integers(1, 3), CUTS, st.integers(1, 9)
)
def test_where_a_batch_ends_is_no_matter(rows, strategy, positives, negatives, cuts, limit):
    negatives = 1 if strategy == "all_pairs" else negatives
    try:
        whole = draw(scored(*rows), strategy, positives, negatives, 11)
    except DecantError:
        return
    assert draw(batches_of(scored(*rows), cuts), strategy, positives, negatives, 11, limit=limit) == whole


@FUZZ
@given(sets(), st.integers(1, 12))
def test_what_is_drawn_from_at_once_are_whole_rows_and_few(rows, size):
    table = scored(*rows)
    found = list(whole_rows(table.to_batches(size)))
    assert pa.Table.from_batches(found, schema=SCORES) == table
    numbers = [set(batch["row"].to_pylist()) for batch in found]
    assert sum(len(each) for each in numbers) == len(rows)
    assert max(batch.num_rows for batch in found) < size + max(len(row) for row in rows)


@FUZZ
@given(st.lists(st.integers(1, 30), max_size=20), st.integers(1, 40))
def test_pools_come_in_slices_of_few_negatives(sizes, limit):
    numbers = np.arange(len(sizes))
    slices = list(Pools(numbers, numbers, numbers, np.array(sizes, np.int64)).slices(limit))
    assert [number for some in slices for number in some.positive] == list(range(len(sizes)))
    assert all(some.size[1:].sum() < limit for some in slices)
    assert len(slices) <= 1 + sum(sizes) // limit


@pytest.mark.parametrize("strategy", ["all_pairs", "random"])
def test_the_negatives_of_many_positives_are_never_all_in_memory(strategy):
    row = [("q", f"t{number}", int(number < 30), 0.5) for number in range(70)]
    drawn = Draw(strategy, None, 1, 0)
    sizes = [batch.num_rows for batch in drawn.batches(scored(row, row).to_batches(), limit=100)]
    assert sum(sizes) == (2 * 30 * 40 if strategy == "all_pairs" else 2 * 30)
    assert max(sizes) < (100 + 40 if strategy == "all_pairs" else 1 + 100 / 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "embedding"
    folder.mkdir()
    return folder


def write_scores_file(folder: Path, table: pa.Table) -> None:
    path = folder / "train.parquet"
    pq.write_table(table, path, row_group_size=4)
    write_json(folder / "manifest.json", {"files": {path.name: {"sha256": sha256(path)}}})


@pytest.mark.parametrize("last, labelled", [(ONE_QUERY, True), (UNLABELLED, False)], ids=["labelled", "unlabelled"])
def test_the_file_holds_the_tuples_and_says_whether_they_are_labelled(last, labelled, folder):
    write_scores_file(folder, scored(ONE_QUERY, ONE_QUERY, last))
    write_tuples(folder, Draw("hardest", 1, 2, 3), folder / "tuples.parquet")
    expected = draw(scored(ONE_QUERY, ONE_QUERY, last), "hardest", 1, 2, 3).table
    assert pq.read_table(folder / "tuples.parquet") == expected
    assert tuples_info(folder / "tuples.parquet") == TuplesInfo(3, labelled)


def test_a_draw_that_fails_leaves_the_file_as_it_was(folder):
    write_scores_file(folder, scored(ONE_QUERY))
    path = folder / "tuples.parquet"
    path.write_bytes(b"earlier")
    before = sorted(folder.iterdir())
    with pytest.raises(DecantError, match="no query has 6 negatives"):
        write_tuples(folder, Draw("hardest", 1, 6, 0), path)
    assert path.read_bytes() == b"earlier"
    assert sorted(folder.iterdir()) == before


@FUZZ
@given(
    st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=12),
    st.integers(1, 11),
    st.sampled_from(["hardest", "random", "by_rank"]),
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
