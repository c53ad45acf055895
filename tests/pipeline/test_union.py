"""A union of rows in FlagEmbedding's layout and a BEIR folder, from files to metrics, through DVC."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from decant.data.sets import SPLITS, read_split
from decant.files import read_json
from tests.support.project import Project, ran
from tests.support.united_project import united


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return united(tmp_path_factory)


def test_train_rows_stand_in_the_proportion_of_the_weights_and_each_names_its_set(project: Project) -> None:
    splits = {split: read_split(project.folder / f"data/sets/both/{split}.parquet") for split in SPLITS}
    counts = {split: [len(part.rows) for part in splits[split].parts()] for split in SPLITS}
    assert counts == {"train": [40, 20], "dev": [8, 8], "test": [12, 10]}
    parts = list(splits["train"].parts())
    assert [(str(part.task), {row.set for row in part.rows}) for part in parts] == [
        ("Find the animal", {"flag"}),
        ("Find the price", {"shop"}),
    ]


def test_each_ntuple_keeps_its_set(project: Project) -> None:
    tuples = pq.read_table(project.folder / "data/triplets/embedding.parquet").to_pylist()
    of_set = {"flag": "where does", "shop": "price of"}
    assert {row["set"] for row in tuples} == {"flag", "shop", ""}  # the last are replayed
    assert all(row["query"].startswith(of_set[row["set"]]) for row in tuples if row["set"])


def test_metrics_are_of_the_union_and_of_each_set(project: Project) -> None:
    for model in ("after", "teacher"):
        found = read_json(project.folder / f"metrics/embedding/{model}.json")["in_domain"]
        assert list(found) == ["both", "flag", "shop"]
        mean = (found["flag"]["map"] * 12 + found["shop"]["map"] * 10) / 22
        assert found["both"]["map"] == pytest.approx(mean, abs=2e-6)


def test_the_overlap_of_each_set_with_the_others_test_split_is_measured(project: Project) -> None:
    found = read_json(project.folder / "metrics/embedding/overlap.json")
    assert {"both", "flag → shop", "shop → flag", "both → pydocs"} <= set(found)
    assert set(found["flag → shop"]) == {"train-dev", "train-test"}


def test_a_change_of_one_set_runs_the_union_again(project: Project, tmp_path: Path) -> None:
    project = project.copy(tmp_path / "project")
    with (project.folder / "data/own/flag.jsonl").open("a") as file:
        file.write(json.dumps({"query": "a new one", "pos": ["new, quite"], "neg": ["old, rather"]}) + "\n")
    assert {"unite@both", "fetch@flag"} <= ran(project.dvc("repro", "unite@both", "fetch@flag"))
