"""What a set's card counts, and the overlap of splits above which there is no set."""

from pathlib import Path

import pytest

from decant.data.sets import Row
from decant.errors import DecantError
from decant.fetch.build import fetch_set
from decant.fetch.settings import DataSet
from decant.files import read_json, sha256
from tests.support.fetched_sets import NAMED, content, source, splits_of, unrelated, write

LEAK = Row("Query 3?", ["a new positive"], ["common negative"])  # `query 3` stands in train


def leaking(folder: Path, max_overlap: float) -> DataSet:
    write(folder, unrelated(10))
    write(folder, unrelated(5, "dev"), "dev")
    write(folder, [*unrelated(4, "test"), LEAK], "test")
    return source(folder, **NAMED, max_overlap=max_overlap)


def test_overlap_above_the_limit_is_refused_and_the_earlier_set_stays(tmp_path):
    with pytest.raises(DecantError) as caught:
        fetch_set("own", leaking(tmp_path / "own", 0.05), tmp_path / "set")
    assert "own: 1 queries and positives (10.0%) of test stand in train too" in caught.value.problem
    assert "datasets.own.max_overlap allows 5.0%" in caught.value.problem
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own"]

    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "card.json").write_text("earlier")
    with pytest.raises(DecantError, match="max_overlap"):
        fetch_set("own", leaking(tmp_path / "own", 0.0), tmp_path / "set")
    assert content(tmp_path / "set") == {"card.json": b"earlier"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own", "set"]


def test_overlap_within_the_limit_is_counted_on_the_card(tmp_path):
    fetch_set("own", leaking(tmp_path / "own", 0.1), tmp_path / "set")
    found = read_json(tmp_path / "set" / "card.json")["overlap"]
    asked = {pair: [counts[key] for key in ("exact", "folded", "share", "any_role")] for pair, counts in found.items()}
    assert asked == {"train-dev": [0, 0, 0.0, 0], "train-test": [0, 1, 0.1, 1], "dev-test": [0, 0, 0.0, 0]}
    assert found["train-test"]["queries"] == {"texts": 5, "exact": 0, "folded": 1, "near": 1}
    # the negatives of `unrelated` stand in every split
    assert found["train-test"]["candidates"] == {"texts": 10, "exact": 5, "folded": 5, "near": 5}


def test_dev_and_test_may_not_overlap_either(tmp_path):
    write(tmp_path / "own", unrelated(10))
    write(tmp_path / "own", unrelated(5, "other"), "dev")
    write(tmp_path / "own", unrelated(5, "other"), "test")
    with pytest.raises(DecantError, match="of test stand in dev too"):
        fetch_set("own", source(tmp_path / "own", **NAMED), tmp_path / "set")


def test_the_card_counts_what_was_written(tmp_path):
    write(
        tmp_path / "own",
        [
            Row("q1", ["p1", "p1"], ["n1", "n2", "n2"]),  # two candidates come again
            Row("q2", ["p2"], ["n1", "n3"]),
            Row("q1", ["n1"], ["p1", "n4"]),  # a duplicate query: merged, two labels conflict
        ],
    )
    for split in ("dev", "test"):
        write(tmp_path / "own", unrelated(2, split), split)
    spec = source(tmp_path / "own", **NAMED, duplicates="merge")
    card = fetch_set("own", spec, tmp_path / "set")
    assert splits_of(tmp_path / "set")["train"] == [
        Row("q1", ["p1", "n1"], ["n2", "n4"]),
        Row("q2", ["p2"], ["n1", "n3"]),
    ]
    assert card["splits"]["train"] == {
        "queries": 2,
        "pairs": 7,
        "positives": 3,
        "negatives": 4,
        "unique_texts": 8,  # q1 p1 n1 n2 n4, q2 p2 n3
        "duplicate_queries": 1,
        "repeated_candidates": 2,
        "conflicting_labels": 2,
        "near_duplicates": 0,
        "faults": {},
        "rows_left_out": 0,
        "texts_left_out": 0,
        "not_judged": {},
        "sha256": sha256(tmp_path / "set" / "train.parquet"),
    }
    assert card == read_json(tmp_path / "set" / "card.json")
    assert (card["name"], card["source"], card["task"]) == ("own", spec.source, "Find it")


def test_the_card_of_carved_splits_counts_what_the_file_held(tmp_path):
    write(tmp_path / "own", [*unrelated(30), Row("query 0", ["positive 0"], ["n", "n"])])
    card = fetch_set("own", source(tmp_path / "own", duplicates="keep"), tmp_path / "set")
    assert card["splits"]["train"]["duplicate_queries"] == 1
    assert card["splits"]["train"]["repeated_candidates"] == 1
    assert card["splits"]["train"]["queries"] == len(splits_of(tmp_path / "set")["train"]) == 24
