"""Fetched sets are what their card says, leak nothing from train into dev or test, and are the same every time."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.data.sets import SPLITS, Row, Split, read_split, write_split
from decant.errors import DecantError
from decant.fetch.build import fetch_set
from decant.fetch.settings import DataSet
from tests.support.fetched_sets import NAMED, asked, content, source, splits_of, unrelated, write

FUZZ = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def test_each_split_is_read_from_the_file_that_is_named(tmp_path):
    for number, split in enumerate(SPLITS, start=1):
        write(tmp_path / "own", unrelated(number, split), split)
    fetch_set("own", source(tmp_path / "own", **NAMED), tmp_path / "set")
    assert splits_of(tmp_path / "set") == {split: unrelated(n, split) for n, split in enumerate(SPLITS, start=1)}
    assert read_split(tmp_path / "set" / "dev.parquet").task == "Find it"


@pytest.mark.parametrize("seed", range(5))
def test_splits_that_are_carved_have_the_sizes_asked_for(tmp_path, seed):
    write(tmp_path / "own", unrelated(50))
    sizes = {"dev": 5, "test": 8}
    fetch_set("own", source(tmp_path / "own", **sizes, limits={"train": 30}, seed=seed), tmp_path / "set")
    assert {split: len(rows) for split, rows in splits_of(tmp_path / "set").items()} == {**sizes, "train": 30}
    card = fetch_set("own", source(tmp_path / "own", **sizes, seed=seed), tmp_path / "set")
    assert {split: len(rows) for split, rows in splits_of(tmp_path / "set").items()} == {**sizes, "train": 37}
    assert card["carved_from_train"] == ["dev", "test"]


@pytest.mark.parametrize(
    "rows, dev",
    [
        (8, 1),  # one at least
        (59, 5),
        (6000, 500),  # and 500 at most
    ],
)
def test_a_dev_split_that_nothing_is_said_about_is_a_tenth_of_train(tmp_path, rows, dev):
    write(tmp_path / "own", unrelated(rows))
    write(tmp_path / "own", unrelated(3, "test"), "test")
    four_lines = {"source": f"path:{tmp_path}/own", "train": "train.jsonl", "test": "test.jsonl", "task": "Find it"}
    card = fetch_set("own", DataSet.model_validate(four_lines), tmp_path / "set")
    assert {split: card["splits"][split]["queries"] for split in SPLITS} == {
        "train": rows - dev,
        "dev": dev,
        "test": 3,
    }
    assert card["carved_from_train"] == ["dev"]


def test_splits_that_are_named_are_sampled_down_to_their_limits(tmp_path):
    for split in SPLITS:
        write(tmp_path / "own", unrelated(20, split), split)
    spec = source(tmp_path / "own", **NAMED, limits={"train": 9, "test": 4})
    fetch_set("own", spec, tmp_path / "set")
    splits = splits_of(tmp_path / "set")
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 9, "dev": 20, "test": 4}
    for split, rows in splits.items():
        assert [row for row in unrelated(20, split) if row in rows] == rows  # in the order of the file


def test_only_the_missing_split_is_carved(tmp_path):
    write(tmp_path / "own", unrelated(20))
    write(tmp_path / "own", unrelated(6, "test"), "test")
    spec = source(tmp_path / "own", test="test.jsonl", dev=5)
    fetch_set("own", spec, tmp_path / "set")
    splits = splits_of(tmp_path / "set")
    assert splits["test"] == unrelated(6, "test")
    assert (len(splits["train"]), len(splits["dev"])) == (15, 5)


def test_the_seed_decides_what_is_carved(tmp_path):
    write(tmp_path / "own", unrelated(40))
    dev = []
    for seed in (0, 0, 1):
        fetch_set("own", source(tmp_path / "own", seed=seed), tmp_path / "set")
        dev.append(splits_of(tmp_path / "set")["dev"])
    assert dev[0] == dev[1]
    assert dev[0] != dev[2]


texts = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"])


@st.composite
def related_rows(draw: st.DrawFn) -> list[Row]:
    """Rows that share queries and positives, in other spellings too."""
    spelt = st.sampled_from(["text {}", "Text {}", "text, {}!", " text  {}"])
    rows = []
    for number in range(draw(st.integers(8, 24))):
        shared = st.builds(str.format, spelt, texts)
        own = st.just(f"own {number}")
        query = draw(st.one_of(own, own, shared))
        positive = draw(st.one_of(st.just(f"positive {number}"), shared))
        rows.append(Row(query, [positive], ["negative one", "negative two"]))
    return rows


@FUZZ
@given(rows=related_rows(), seed=st.integers(0, 9))
def test_carving_never_leaks(tmp_path, rows, seed):
    write(tmp_path / "own", rows)
    spec = source(tmp_path / "own", seed=seed, duplicates="keep", dev=2, test=3)
    try:
        fetch_set("own", spec, tmp_path / "set")
    except DecantError as error:
        told = error
    else:
        splits = splits_of(tmp_path / "set")
        for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
            assert not asked(splits[one]) & asked(splits[other])
        assert all(row in rows for split in SPLITS for row in splits[split])
        assert all(splits.values())
        assert len(splits["dev"]) <= 2
        assert len(splits["test"]) <= 3
        return
    assert "nothing is left for" in told.problem


@pytest.mark.parametrize(
    "shared",
    [
        lambda n: Row(f"query {n}", ["the same positive"], [f"negative {n}"]),
        lambda n: Row("the same query", [f"positive {n}"], [f"negative {n}"]),
        lambda n: Row(f"query {n}", [f"link {n}", f"link {n + 1}"], [f"negative {n}"]),  # a chain
        lambda n: Row(f"link {n}", [f"link {n + 1}"], [f"negative {n}"]),  # a positive that is the next one's query
        lambda n: Row(f"query {n}", ["the same positive", "The same: positive."][n % 2 :], [f"n {n}"]),  # in spelling
        lambda n: Row(f"query {n}", [["Same", "same!"][n % 2]], [f"negative {n}"]),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_rows_that_share_a_query_or_a_positive_stay_together(tmp_path, shared, seed):
    family = [shared(n) for n in range(4)]
    write(tmp_path / "own", [*unrelated(12), *family, *unrelated(12, "other ")])
    spec = source(tmp_path / "own", seed=seed, duplicates="keep", dev=8, test=8)
    fetch_set("own", spec, tmp_path / "set")
    home = {split for split, rows in splits_of(tmp_path / "set").items() for row in rows if row in family}
    assert len(home) == 1


@pytest.mark.parametrize(
    "rows, fault",
    [
        # more is asked for than there is
        (unrelated(7), "7 train rows are too few to carve 3 dev and 4 test queries from"),
        # one family of rows cannot be split
        ([Row(f"q{n}", ["same"], ["n"]) for n in range(20)], "nothing is left for"),
    ],
)
def test_what_cannot_be_carved_is_told_in_words(tmp_path, rows, fault):
    write(tmp_path / "own", rows)
    with pytest.raises(DecantError, match=fault) as caught:
        fetch_set("own", source(tmp_path / "own"), tmp_path / "set")
    assert "`dev` and `test`" in caught.value.remedy
    assert not (tmp_path / "set").exists()


def test_unlabelled_rows_train_but_never_test(tmp_path):
    (tmp_path / "own").mkdir()
    lines = [json.dumps({"query": f"q{n}", "candidates": [f"a{n}", f"b{n}"]}) for n in range(20)]
    (tmp_path / "own" / "train.jsonl").write_text("\n".join(lines))
    with pytest.raises(DecantError, match="unlabelled train rows cannot serve as dev or test"):
        fetch_set("own", source(tmp_path / "own"), tmp_path / "set")
    for split in ("dev", "test"):
        write(tmp_path / "own", unrelated(5, split), split)
    card = fetch_set("own", source(tmp_path / "own", **NAMED), tmp_path / "set")
    assert splits_of(tmp_path / "set")["train"][0] == Row("q0", unlabelled=["a0", "b0"])
    assert card["splits"]["train"]["pairs"] == 40
    assert card["splits"]["train"]["positives"] == 0
    (tmp_path / "own" / "test.jsonl").write_text(lines[0])
    with pytest.raises(DecantError, match=r"test\.jsonl, line 1: the candidates have no labels"):
        fetch_set("own", source(tmp_path / "own", **NAMED), tmp_path / "set")


@pytest.mark.parametrize(
    "row, kind",
    [
        ({"query": "a query", "positive": ["its positive"]}, "train rows without negatives"),
        ({"query": "a query"}, "unlabelled train rows"),
    ],
)
def test_rows_that_are_to_be_mined_are_for_training_alone(tmp_path, row, kind):
    own = tmp_path / "own"
    for split in ("dev", "test"):
        write(own, unrelated(5, split), split)
    rows = [{key: f"{value} {n}" if key == "query" else value for key, value in row.items()} for n in range(20)]
    (own / "train.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    with pytest.raises(DecantError, match=f"{kind} cannot serve as dev or test"):
        fetch_set("own", source(own), tmp_path / "set")
    card = fetch_set("own", source(own, **NAMED), tmp_path / "set")
    expected = [Row(each["query"], each.get("positive", [])) for each in rows]
    assert splits_of(tmp_path / "set")["train"] == expected
    assert (card["splits"]["train"]["queries"], card["splits"]["train"]["negatives"]) == (20, 0)


def test_labels_are_not_lost_where_some_rows_have_none(tmp_path):
    for split in ("dev", "test"):
        write(tmp_path / "own", unrelated(5, split), split)
    write(tmp_path / "own", unrelated(3))
    with (tmp_path / "own" / "train.jsonl").open("a") as file:
        file.write('\n{"query": "q", "candidates": ["a", "b"]}')
    with pytest.raises(DecantError, match="label"):
        fetch_set("own", source(tmp_path / "own", **NAMED), tmp_path / "set")


def test_a_split_of_both_kinds_is_never_written(tmp_path):
    mixed = [Row("q", ["p"], ["n"]), Row("r", unlabelled=["a", "b"])]
    with pytest.raises(DecantError, match="label"):
        write_split(tmp_path / "train.parquet", Split(mixed, ""))
    assert not list(tmp_path.iterdir())


def test_one_file_does_not_serve_as_several_splits(tmp_path):
    write(tmp_path / "own", unrelated(10))
    spec = source(tmp_path / "own" / "train.jsonl", **NAMED, max_overlap=1.0)
    with pytest.raises(DecantError, match=r"is one file, and a split names 'dev\.jsonl'") as caught:
        fetch_set("own", spec, tmp_path / "set")
    assert "let `source` name the folder" in caught.value.remedy
    assert "set `train` to train.jsonl" in caught.value.remedy


def test_one_file_is_enough_to_carve_from(tmp_path):
    write(tmp_path / "own", unrelated(20))
    fetch_set("own", source(tmp_path / "own" / "train.jsonl"), tmp_path / "set")
    assert {split: len(rows) for split, rows in splits_of(tmp_path / "set").items()} == {
        "train": 13,
        "dev": 3,
        "test": 4,
    }


def test_a_fault_in_any_split_leaves_the_earlier_set(tmp_path):
    for split in SPLITS:
        write(tmp_path / "own", unrelated(5, split), split)
    fetch_set("own", source(tmp_path / "own", **NAMED), tmp_path / "set")
    before = content(tmp_path / "set")
    with (tmp_path / "own" / "test.jsonl").open("a") as file:
        file.write("\nbroken")
    with pytest.raises(DecantError, match=r"test\.jsonl, line 6: not valid JSON"):
        fetch_set("own", source(tmp_path / "own", **NAMED), tmp_path / "set")
    assert content(tmp_path / "set") == before


def test_the_same_source_gives_the_same_bytes(tmp_path):
    write(tmp_path / "own", unrelated(50))
    for name in ("one", "two"):
        fetch_set("own", source(tmp_path / "own"), tmp_path / name)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert sorted(content(tmp_path / "one")) == ["card.json", "dev.parquet", "test.parquet", "train.parquet"]


def test_a_beir_folder_is_fetched_split_by_split(tmp_path):
    own = tmp_path / "own"
    (own / "qrels").mkdir(parents=True)
    (own / "candidates").mkdir()
    for name in ("corpus", "queries"):
        lines = [json.dumps({"_id": str(n), "text": f"{name} {n}"}) for n in range(9)]
        (own / f"{name}.jsonl").write_text("\n".join(lines))
    for number, split in enumerate(SPLITS):
        a, b = 3 * number, 3 * number + 1
        (own / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{a}\t{a}\t1\n")
        (own / "candidates" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\n{a}\t{a}\n{a}\t{b}\n")
    spec = source(own, format="beir", **dict(zip(SPLITS, SPLITS, strict=True)))
    fetch_set("own", spec, tmp_path / "set")
    assert splits_of(tmp_path / "set") == {
        split: [
            Row(
                f"queries {3 * n}",
                [f"corpus {3 * n}"],
                [f"corpus {3 * n + 1}"],
                query_id=str(3 * n),
                ids=[str(3 * n), str(3 * n + 1)],
            )
        ]
        for n, split in enumerate(SPLITS)
    }
