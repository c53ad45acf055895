"""What splits share is counted, exactly, folded and nearly: a planted leak is caught, and what is no leak is not."""

from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.data.sets import Row, Split, write_split
from decant.data.words import words
from decant.fetch.overlap import overlap, overlaps
from decant.fetch.similarity import THRESHOLD

FUZZ = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
NOTHING = {"texts": 0, "exact": 0, "folded": 0, "near": 0}

# A text of train, and what became of it in test.
TEXT = "Compute the singular value decomposition of a dense matrix with LAPACK"
EXACT = TEXT
FOLDED = "compute the Singular-Value decomposition, of a dense matrix with LAPACK."
WORD = "Compute the singular value decomposition of a sparse matrix with LAPACK"
ORDER = "With LAPACK, compute the singular value decomposition of a dense matrix"
OTHER = "Compute the eigenvalues of a dense symmetric matrix with ARPACK"
KIN = ["L1 norm of a vector", "Draw samples from a uniform distribution", "Close the file and flush what was written"]


def row(query: str = "a query of its own", positive: str = "its positive", negative: str = "its negative") -> Row:
    return Row(query, [positive], [negative])


def counts(train: list[Row], other: list[Row]) -> dict:
    with TemporaryDirectory() as folder:
        return overlap(*(written(Path(folder), name, rows) for name, rows in (("train", train), ("test", other))))[
            "test"
        ]


def written(folder: Path, name: str, rows: list[Row]) -> Path:
    write_split(folder / f"{name}.parquet", Split(rows, ""))
    return folder / f"{name}.parquet"


TRAIN = [row(*KIN), Row(TEXT, ["a positive of train"], ["a negative of train"])]


@pytest.mark.parametrize(
    "text, exact, folded, near",
    [
        (EXACT, 1, 1, 1),
        (FOLDED, 0, 1, 1),  # case, punctuation
        (WORD, 0, 0, 1),  # one word of eleven
        (ORDER, 0, 0, 1),  # the same words in another order
        (OTHER, 0, 0, 0),
    ],
)
@pytest.mark.parametrize("role, place", [("queries", 0), ("candidates", 1), ("candidates", 2)])
def test_a_planted_leak_is_caught_in_its_role(text, exact, folded, near, role, place):
    texts = ["a query of test", "a positive of test", "a negative of test"]
    texts[place] = text
    found = counts(TRAIN, [row(*texts)])
    size = {"queries": 1, "candidates": 2}
    assert found[role] == {"texts": size[role], "exact": exact, "folded": folded, "near": near}
    other = "candidates" if role == "queries" else "queries"
    assert found[other] == {"texts": size[other], "exact": 0, "folded": 0, "near": 0}


@pytest.mark.parametrize("place", range(3))
def test_a_test_query_that_train_held_in_any_role_is_caught(place):
    texts = ["a query of train", "a positive of train", "a negative of train"]
    texts[place] = TEXT
    assert counts([row(*texts)], [row(WORD)])["queries"]["near"] == 1


@pytest.mark.parametrize(
    "one, other",
    [
        ("Burn of left arm", "Burn of right arm"),
        ("Acute hepatitis B", "Acute hepatitis E"),
        ("Accidental malfunction of machine gun", "Accidental malfunction of hunting rifle"),
        ("A cosine continuous random variable", "A Cauchy continuous random variable"),
        ("右手の骨折", "左手の骨折"),
    ],
)
def test_short_texts_that_differ_in_a_word_are_no_near_duplicates(one, other):
    assert counts([row(one)], [row(other, "b", "c")])["queries"]["near"] == 0


def test_signs_of_scripts_without_spaces_are_words():
    assert words("深層学習 BERT4の蒸留!") == ["深", "層", "学", "習", "bert4", "の", "蒸", "留"]
    one, other = "大規模な言語モデルを小型のモデルへ蒸留する方法", "大規模な言語モデルを小型のモデルに蒸留する方法"
    assert counts([row(one)], [row(other, "b", "c")])["queries"]["near"] == 1


def test_queries_and_positives_are_what_max_overlap_is_about():
    train = [Row("Query one", ["shared text"], ["neg a"]), Row("q2", ["p2"], ["neg b"])]
    other = [
        Row("query ONE.", ["shared text"], ["neg a", "P2!"]),  # folded query, exact positive; in negatives: p2
        Row("q3", ["p3", "p4"], ["neg b", "q2"]),
    ]
    found = counts(train, other)
    assert [found[key] for key in ("exact", "folded", "share", "any_role")] == [1, 2, 0.4, 4]


def test_negatives_of_train_are_not_what_it_was_trained_to_find():
    found = counts([Row("q", ["p"], ["n"])], [Row("r", ["n"], ["m"])])
    assert [found[key] for key in ("exact", "folded", "share", "any_role")] == [0, 0, 0.0, 0]
    assert found["candidates"]["exact"] == 1  # but they are texts that both splits hold


def test_a_query_of_one_split_that_is_a_positive_of_the_other_overlaps():
    assert counts([Row("q", ["p"], ["n"])], [Row("p", ["x"], ["y"])])["folded"] == 1
    assert counts([Row("q", ["p"], ["n"])], [Row("r", ["q"], ["y"])])["folded"] == 1


def test_a_text_is_counted_once_however_often_it_stands():
    other = [Row("a", ["p"], ["n"]), Row("b", ["p"], ["n"]), Row("c", ["p"], ["n"])]
    found = counts([Row("q", ["p"], ["n"])], other)
    assert [found[key] for key in ("exact", "folded", "share", "any_role")] == [1, 1, 0.25, 1]
    assert found["candidates"] == {"texts": 2, "exact": 2, "folded": 2, "near": 2}


def test_unlabelled_train_rows_overlap_by_their_queries():
    found = counts([Row("q", unlabelled=["a", "b"])], [Row("Q", ["a"], ["n"])])
    assert (found["exact"], found["folded"], found["share"]) == (0, 1, 0.5)


def test_an_empty_split_overlaps_with_nothing():
    nothing = {"exact": 0, "folded": 0, "share": 0.0, "any_role": 0, "queries": NOTHING, "candidates": NOTHING}
    assert counts([Row("q", ["p"], ["n"])], []) == nothing
    assert counts([], [Row("q", ["p"], ["n"])])["candidates"]["near"] == 0


def test_every_pair_of_splits_is_counted_in_its_order(tmp_path):
    splits = {"train": [row(TEXT)], "dev": [row(WORD, "b", "c")], "test": [row(TEXT, "d", "e"), row(KIN[0], "f", "g")]}
    found = overlaps({name: written(tmp_path, name, rows) for name, rows in splits.items()})
    assert {pair: (one["queries"]["exact"], one["queries"]["near"]) for pair, one in found.items()} == {
        "train-dev": (0, 1),
        "train-test": (1, 1),
        "dev-test": (0, 1),
    }


vocabulary = [f"word{number}" for number in range(30)]


@FUZZ
@given(st.lists(st.sets(st.sampled_from(vocabulary), min_size=8, max_size=14), min_size=2, max_size=30))
def test_what_the_search_finds_is_what_comparing_all_pairs_finds(sets):
    texts = [" ".join(sorted(one)) for one in sets]
    half = len(texts) // 2
    train, other = ([Row(text, ["p"], ["n"]) for text in part] for part in (texts[:half], texts[half:]))
    near = {
        " ".join(sorted(there))
        for here in sets[:half]
        for there in sets[half:]
        if len(here & there) / len(here | there) >= THRESHOLD
    }
    assert counts(train, other)["queries"]["near"] == len(near)


def test_the_search_misses_nothing_at_the_threshold():
    base = [[f"w{text}x{place}" for place in range(9)] for text in range(300)]
    changed = [[*one[:-1], "another"] for one in base]  # 8 of 10 words together: just the threshold
    train, other = ([Row(" ".join(one), ["p"], ["n"]) for one in part] for part in (base, changed))
    assert counts(train, other)["queries"]["near"] == 300
    assert not any(set(one) & set(two) for one, two in combinations(base, 2))
