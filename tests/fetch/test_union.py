"""A union is put together from sets in the proportion of its weights, and its leakage is measured."""

from pathlib import Path
from typing import Any

import pytest

from decant.data.sets import Row
from decant.errors import DecantError
from decant.fetch.settings import DataSet, Union
from decant.fetch.union import fetch_union
from decant.files import read_json
from decant.params import parse_params
from tests.support.fetched_sets import source, splits_of, unrelated, write
from tests.support.project import ROOT


def sets(folder: Path, **rows: list[Row]) -> dict[str, DataSet]:
    found = {}
    for name, of_set in rows.items():
        write(folder / name, of_set)
        found[name] = source(folder / name, task=f"Find {name}")
    return found


def united(folder: Path, datasets: dict[str, DataSet], **settings: Any) -> dict[str, list[Row]]:
    fetch_union("both", Union.model_validate(settings), datasets, folder / "both")
    return splits_of(folder / "both")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"union": {"one": 1, "two": 1}}, {"one": 13, "two": 13}),
        ({"union": {"one": 0.5, "two": 1}}, {"one": 11, "two": 23}),
        ({"union": {"one": None, "two": None}}, {"one": 13, "two": 23}),
        ({"union": {"one": None, "two": 5}, "cap": {"two": 7}}, {"one": 13, "two": 7}),
        ({"union": {"two": 4, "one": 1}, "cap": {"one": 3}}, {"two": 12, "one": 3}),
    ],
)
def test_train_rows_are_in_proportion_and_dev_and_test_are_whole(
    tmp_path: Path, settings: dict[str, Any], expected: dict[str, int]
) -> None:
    datasets = sets(tmp_path, one=unrelated(20, "one "), two=unrelated(30, "two "))
    found = united(tmp_path, datasets, **settings)
    names = [row.set for row in found["train"]]
    assert {name: names.count(name) for name in dict.fromkeys(names)} == expected
    assert list(expected) == list(dict.fromkeys(names))
    assert all(row.query.startswith(row.set) for rows in found.values() for row in rows)
    assert [len(found[split]) for split in ("dev", "test")] == [6, 8]
    assert len({row.query for row in found["train"]}) == sum(expected.values())  # none twice
    assert united(tmp_path, datasets, **settings) == found


def test_other_rows_are_drawn_by_another_seed(tmp_path: Path) -> None:
    datasets = sets(tmp_path, one=unrelated(20, "one "), two=unrelated(60, "two "))
    weights = {"one": 1, "two": 1}
    assert united(tmp_path, datasets, union=weights) != united(tmp_path, datasets, union=weights, seed=1)


def test_a_text_of_one_set_in_the_test_split_of_another_is_refused_or_counted(tmp_path: Path) -> None:
    datasets = sets(tmp_path, one=unrelated(20, "one "), two=unrelated(30, "two "))
    leaked = splits_of_alone(tmp_path, datasets["two"])["test"][0]
    write(tmp_path / "one", [*unrelated(20, "one "), Row(leaked.query.upper(), ["new"], ["other"])])
    for count in range(20):  # until the row lies in train, whatever is carved
        datasets["one"] = source(tmp_path / "one", seed=count, task="Find one")
        if leaked.query.upper() in {row.query for row in splits_of_alone(tmp_path, datasets["one"])["train"]}:
            break
    weights = {"one": None, "two": None}
    with pytest.raises(DecantError, match=r"both: 1 queries and positives .* of test stand in train too; unions.both"):
        united(tmp_path, datasets, union=weights)
    assert not (tmp_path / "both").exists()
    united(tmp_path, datasets, union=weights, max_overlap=0.5)
    card = read_json(tmp_path / "both/card.json")
    assert card["overlap_between"]["one → two"]["train-test"]["folded"] == 1
    assert card["overlap_between"]["two → one"]["train-test"]["folded"] == 0


def splits_of_alone(folder: Path, settings: DataSet) -> dict[str, list[Row]]:
    from decant.fetch.build import fetch_set

    fetch_set("alone", settings, folder / "alone")
    return splits_of(folder / "alone")


def test_sets_with_and_without_labels_make_no_union(tmp_path: Path) -> None:
    datasets = sets(tmp_path, one=unrelated(20, "one "), two=unrelated(20, "two "))
    for split in ("dev", "test"):
        write(tmp_path / "two", unrelated(4, f"{split} "), split)
    (tmp_path / "two/train.jsonl").write_text('{"query": "q", "candidates": ["a", "b"]}')
    datasets["two"] = source(tmp_path / "two", dev="dev.jsonl", test="test.jsonl")
    with pytest.raises(DecantError, match="the train rows of two have no labels"):
        united(tmp_path, datasets, union={"one": 1, "two": 1})


@pytest.mark.parametrize(
    ("unions", "in_domain", "message"),
    [
        ("{u: {union: {icd10: 1, nothing: 1}}}", "icd10", "unions.u.union: no data set is named 'nothing'"),
        ("{u: {union: {icd10: 1}}}", "icd10", "unions.u.union: .*at least 2"),
        ("{icd10: {union: {icd10: 1, cwe: 1}}}", "icd10", "unions.icd10: a data set has this name already"),
        ("{u: {union: {icd10: 1, cwe: 0}}}", "icd10", "unions.u.union.cwe: .*greater than 0"),
        ("{u: {union: {icd10: 1, cwe: 1}, cap: {pydocs: 1}}}", "icd10", "`cap` names pydocs"),
        ("{u: {union: {icd10: 1, cwe: 1}}}", "u", "embedding: two of its sets are or have 'cwe'"),
        ("{u: {union: {icd10: 1, cwe: 1}, weight: 1}}", "icd10", "unions.u.weight: unknown key"),
        ("{}", "u", "embedding.in_domain: no data set is named 'u'"),
    ],
)
def test_params_of_a_union_that_cannot_be_are_refused(unions: str, in_domain: str, message: str) -> None:
    text = (ROOT / "params.yaml").read_text().replace("unions: {}", f"unions: {unions}")
    with pytest.raises(DecantError, match=message):
        parse_params(text.replace("in_domain: icd10", f"in_domain: {in_domain}", 1))
