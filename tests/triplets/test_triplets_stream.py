"""However the scores are cut into batches, the draw is the obvious one, holds little at once and writes all or none."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decant.data.scores import SCHEMA as SCORES
from decant.errors import DecantError
from decant.files import sha256, write_json
from decant.train.columns import tuples_info
from decant.triplets.draw import Draw, whole_rows
from decant.triplets.run import write_tuples
from decant.triplets.strategies import STRATEGIES, Pools
from tests.support.scored_rows import FUZZ, ONE_QUERY, UNLABELLED, draw, drawing, scored, tuples, write_scores_file

HARDEST = drawing("hardest", 1, 2)


def reference(
    rows, strategy, positives, negatives, band=None, limit=None, relabel=None
) -> Iterator[tuple[int, str, str, list[str], list[float]]]:
    """The n-tuples of a strategy that draws nothing at random, row by row, with those of too few negatives."""
    start, end = band or (0, None)
    for number, row in enumerate(rows):
        ranking = sorted(row, key=lambda pair: -pair[3])  # stable: equals in the order of the set
        by_label = any(label is not None for _, _, label, _ in row)
        chosen = [pair for pair in row if pair[2]] if by_label else ranking[:1]
        if relabel is not None and chosen:
            best = max(score for *_, score in chosen)
            chosen = [pair for pair in row if pair in chosen or pair[3] > relabel(best)]
        below = [pair for pair in ranking if pair not in chosen]
        pools = [
            (pair, [other for other in below if limit is None or other[3] <= limit(pair[3])][start:end])
            for pair in chosen
        ]
        if strategy == "hardest":
            found = [(pair, pool[:negatives]) for pair, pool in pools]
        elif strategy == "by_rank":
            found = [(pair, spread(pool, negatives)) for pair, pool in pools]
        elif strategy == "by_score":
            found = [(pair, spread_by_score(pool, negatives)) for pair, pool in pools]
        elif strategy == "all_pairs":  # a positive all of whose negatives are false leaves one n-tuple out
            found = [
                (pair, each)
                for pair, pool in pools
                for each in ([[other] for other in pool] or ([[]] if below else []))
            ]
        else:
            found = [(pair, ranking[place + 1 :][:negatives]) for place, pair in enumerate(ranking[: positives or 1])]
        for pair, others in found:
            pairs = [pair, *others]
            yield number, pair[0], pair[1], [text for _, text, _, _ in others], [score for *_, score in pairs]


def spread(pool, count):
    places = np.linspace(0, len(pool) - 1, count).round().astype(int)
    return [pool[place] for place in places] if len(pool) >= count else []


def spread_by_score(pool, count):
    if len(pool) < count:
        return []
    left, taken = list(enumerate(score for *_, score in pool)), []
    for wanted in np.linspace(pool[0][3], pool[-1][3], count):
        taken.append(min(left, key=lambda each: abs(each[1] - wanted)))
        left.remove(taken[-1])
    return [pool[place] for place, _ in sorted(taken)]


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
    st.sampled_from(["hardest", "by_rank", "by_score", "all_pairs", "teacher_top_k"]),
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


BANDS = st.sampled_from([None, (0, 1), (0, 4), (1, 4), (2, 9)])
MARGINS = st.sampled_from([None, -2.0, 0.0, 0.25, 1.5])
LIMITS = st.one_of(
    st.fixed_dictionaries({"false_negative_margin": MARGINS}),
    st.fixed_dictionaries({"false_negative_share": st.sampled_from([0.0, 0.5, 1.0])}),
)
RELABEL = st.sampled_from([None, "drop", "relabel"])


def limit_of(options):
    """The score above which a negative of a positive's is false, from the positive's; None without."""
    if options.get("false_negative_margin") is not None:
        return lambda score: score - options["false_negative_margin"]
    if options.get("false_negative_share") is not None:  # of a score below 0 the share is one whole more
        share = options["false_negative_share"]
        return lambda score: share * score if score > 0 else (2 - share) * score
    return None


@FUZZ
@given(
    sets(),
    st.sampled_from(["hardest", "by_rank", "by_score", "all_pairs"]),
    st.integers(1, 4),
    BANDS,
    LIMITS,
    RELABEL,
    CUTS,
)
def test_false_negatives_go_first_and_the_band_is_of_what_is_left(rows, strategy, negatives, band, limits, what, cuts):
    negatives = 1 if strategy == "all_pairs" else negatives
    limit = limit_of(limits)
    relabel = limit if what == "relabel" else None
    expected = list(reference(rows, strategy, None, negatives, band, limit, relabel))
    kept = [each for each in expected if len(each[3]) == negatives]
    drawn = Draw(drawing(strategy, None, negatives, band=band, false_negatives=what, **limits), 0)
    if not kept:
        with pytest.raises(DecantError):
            list(drawn.batches(batches_of(scored(*rows), cuts)))
    else:
        table = pa.Table.from_batches(drawn.batches(batches_of(scored(*rows), cuts)))
        assert tuples(table) == [tuple(each) for _, *each in kept]
        assert drawn.too_few == len(expected) - len(kept)
    without, left = (
        sum(len(each[3]) for each in reference(rows, "all_pairs", None, 1, limit=each_limit, relabel=relabel))
        for each_limit in (None, limit)
    )
    assert drawn.false_negatives == without - left
    labelled, positive = (len(list(reference(rows, "hardest", None, 1, relabel=each))) for each in (None, relabel))
    assert drawn.relabelled == positive - labelled


@FUZZ
@given(
    sets(),
    st.sampled_from([*STRATEGIES, "replay"]),
    st.sampled_from([None, 1, 2]),
    st.integers(1, 3),
    st.fixed_dictionaries({"band": BANDS, "false_negative_margin": MARGINS, "false_negatives": RELABEL}),
    CUTS,
    st.integers(1, 9),
)
def test_where_a_batch_ends_is_no_matter(rows, strategy, positives, negatives, options, cuts, limit):
    negatives = 1 if strategy == "all_pairs" else negatives
    try:
        whole = draw(scored(*rows), strategy, positives, negatives, 11, **options)
    except DecantError:
        return
    assert draw(batches_of(scored(*rows), cuts), strategy, positives, negatives, 11, limit=limit, **options) == whole


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
    slices = list(Pools(numbers, numbers, numbers, np.array(sizes, np.int64), numbers).slices(limit))
    assert [number for some in slices for number in some.positive] == list(range(len(sizes)))
    assert all(some.size[1:].sum() < limit for some in slices)
    assert len(slices) <= 1 + sum(sizes) // limit


@pytest.mark.parametrize("strategy", ["all_pairs", "random"])
def test_the_negatives_of_many_positives_are_never_all_in_memory(strategy):
    row = [("q", f"t{number}", int(number < 30), 0.5) for number in range(70)]
    drawn = Draw(drawing(strategy, None, 1), 0)
    sizes = [batch.num_rows for batch in drawn.batches(scored(row, row).to_batches(), limit=100)]
    assert sum(sizes) == (2 * 30 * 40 if strategy == "all_pairs" else 2 * 30)
    assert max(sizes) < (100 + 40 if strategy == "all_pairs" else 1 + 100 / 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "embedding"
    folder.mkdir()
    return folder


def guarded(count: int) -> list[list[tuple]]:
    """Rows of a guard set, whose labels are the opposite of what the teacher says."""
    return [
        [(f"g{number}", f"c{number}.{place}", int(place == 3), 1 - place / 4) for place in range(4)]
        for number in range(count)
    ]


@pytest.mark.parametrize("last, labelled", [(ONE_QUERY, True), (UNLABELLED, False)], ids=["labelled", "unlabelled"])
def test_the_file_holds_the_tuples_and_says_whether_they_are_labelled(last, labelled, folder):
    write_scores_file(folder, scored(ONE_QUERY, ONE_QUERY, last))
    write_tuples(folder, HARDEST, folder / "tuples.parquet", 3)
    expected = draw(scored(ONE_QUERY, ONE_QUERY, last), "hardest", 1, 2, 3).table
    assert pq.read_table(folder / "tuples.parquet") == expected
    info = tuples_info(folder / "tuples.parquet")
    assert (info.count, info.labelled) == (3, labelled)


@pytest.mark.parametrize(("share", "replayed"), [(0.0, 0), (0.5, 2), (1.25, 5), (9.0, 6)])
def test_so_many_tuples_of_the_guard_set_stand_at_the_end(share, replayed, folder):
    """Each of its queries gives one at most: the teacher's best with the ends of the rest of its ranking, labels aside.

    The track's own are the same with them and without.
    """
    write_scores_file(folder, scored(*[ONE_QUERY] * 4), scored(*guarded(6)))
    path = folder / "tuples.parquet"
    write_tuples(folder, HARDEST, path, 7)
    own = pq.read_table(path)
    assert write_tuples(folder, HARDEST, path, 7, share)[1] == replayed
    table, info = pq.read_table(path), tuples_info(path)
    assert (info.count, info.labelled, info.replayed) == (4 + replayed, True, replayed)
    assert table.slice(0, 4) == own
    found = tuples(table.slice(4))
    numbers = [int(query[1:]) for query, *_ in found]
    assert numbers == sorted(set(numbers))
    for number, one in zip(numbers, found, strict=True):
        assert one == (f"g{number}", f"c{number}.0", [f"c{number}.1", f"c{number}.3"], [1.0, 0.75, 0.25])
    again = folder / "again.parquet"
    write_tuples(folder, HARDEST, again, 7, share)
    assert again.read_bytes() == path.read_bytes()


def test_which_are_replayed_is_drawn_by_the_seed(folder):
    write_scores_file(folder, scored(ONE_QUERY, ONE_QUERY), scored(*guarded(40)))
    drawn = []
    for seed in (0, 1):
        write_tuples(folder, HARDEST, folder / "tuples.parquet", seed, 2.0)
        drawn.append(pq.read_table(folder / "tuples.parquet")["query"].to_pylist()[2:])
    assert drawn[0] != drawn[1]
    assert not any(queries == [f"g{number}" for number in range(4)] for queries in drawn)  # nor the first


def test_unlabelled_rows_stay_unlabelled_where_labelled_ones_are_replayed(folder):
    write_scores_file(folder, scored(UNLABELLED), scored(*guarded(2)))
    write_tuples(folder, HARDEST, folder / "tuples.parquet", 0, 1.0)
    assert tuples_info(folder / "tuples.parquet").labelled is False


def test_a_draw_that_fails_leaves_the_file_as_it_was(folder):
    write_scores_file(folder, scored(ONE_QUERY))
    path = folder / "tuples.parquet"
    path.write_bytes(b"earlier")
    before = sorted(folder.iterdir())
    with pytest.raises(DecantError, match="no query has 6 negatives"):
        write_tuples(folder, drawing("hardest", 1, 6), path)
    assert path.read_bytes() == b"earlier"
    assert sorted(folder.iterdir()) == before


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Scores of 20 queries, in files of two sets of a union."""
    for name in ("train.a", "train.b"):
        rows = [[(f"{name} {n}", "p", 1, 0.9), (f"{name} {n}", "n", 0, 0.1)] for n in range(10)]
        pq.write_table(scored(*rows), tmp_path / f"{name}.parquet", row_group_size=3)
    files = {path.name: {"sha256": sha256(path)} for path in sorted(tmp_path.glob("*.parquet"))}
    write_json(tmp_path / "manifest.json", {"files": files})
    return tmp_path


def queries_of(scores: Path, queries: int | None, seed: int = 0) -> list[str]:
    path = scores / "out" / "tuples.parquet"
    settings = HARDEST.model_copy(update={"negatives": 1, "queries": queries})
    drawn, _ = write_tuples(scores, settings, path, seed)
    found: list[str] = pq.read_table(path)["query"].to_pylist()
    assert drawn.queries == len(found)
    return found


def test_fewer_queries_are_among_more_and_each_seed_draws_others(many: Path) -> None:
    everything = queries_of(many, None)
    for seed in (0, 1):
        few, more = queries_of(many, 6, seed), queries_of(many, 13, seed)
        assert (len(few), len(more)) == (6, 13)
        assert set(few) < set(more) < set(everything)
        assert more == [query for query in everything if query in more]  # in the set's order
    assert set(queries_of(many, 6, 0)) != set(queries_of(many, 6, 1))
    assert queries_of(many, 20) == everything
    assert {query.split()[0] for query in queries_of(many, 13)} == {"train.a", "train.b"}


def test_more_queries_than_there_are_leave_the_file_as_it_was(many: Path) -> None:
    queries_of(many, 6)
    before = (many / "out/tuples.parquet").read_bytes()
    with pytest.raises(DecantError, match=r"triplets.queries is 21, and 20 train queries have scores"):
        queries_of(many, 21)
    assert (many / "out/tuples.parquet").read_bytes() == before
