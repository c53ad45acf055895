"""A union of rows in FlagEmbedding's layout and a BEIR folder, from files to metrics, through DVC."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from decant.data.sets import read_split
from decant.files import read_json
from tests.support.project import Project, check_out, ran

WORDS = [f"{first}{middle}{last}" for first in "bdfgklmnprst" for middle in "aeiou" for last in ("ck", "nd", "st", "r")]
PARTS = ("train", "dev", "test")


def write_flag(path: Path, rng: random.Random, count: int) -> None:
    """Rows of invented texts: the positive shares a word with the query."""
    with path.open("w") as file:
        for number in range(count):
            word, *others = rng.sample(WORDS, 8)
            file.write(
                json.dumps(
                    {
                        "query": f"where does the {word} of {number} live",
                        "pos": [f"the {word} lives with {others[0]} and {others[1]}, {number}"],
                        "neg": [
                            f"a {other} never lives near {number}, says {rng.choice(WORDS)}" for other in others[2:]
                        ],
                    }
                )
                + "\n"
            )


def write_beir(folder: Path, rng: random.Random, counts: dict[str, int]) -> None:
    """A BEIR folder whose qrels judge a relevant document and five others of each query."""
    (folder / "qrels").mkdir(parents=True)
    corpus, queries, number = [], [], 0
    for split, count in counts.items():
        lines = ["query-id\tcorpus-id\tscore"]
        for _ in range(count):
            words = rng.sample(WORDS, 6)
            queries.append({"_id": f"q{number}", "text": f"price of {words[0]} in {number}"})
            for place, word in enumerate(words):
                corpus.append({"_id": f"d{number}-{place}", "title": "", "text": f"{word} costs {number} coins"})
                lines.append(f"q{number}\td{number}-{place}\t{int(place == 0)}")
            number += 1
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def with_a_union(params: Any) -> None:
    params["datasets"]["flag"] = {
        "source": "path:data/own/flag.jsonl", "train": "flag.jsonl", "dev": 8, "test": 12, "task": "Find the animal"
    }  # fmt: skip
    params["datasets"]["shop"] = {
        "source": "path:data/own/shop", "train": "train", "dev": "dev", "test": "test", "task": "Find the price"
    }  # fmt: skip
    params["unions"] = {"both": {"union": {"flag": 2, "shop": 1}}}
    params["embedding"]["in_domain"] = "both"
    params["embedding"]["student"]["query_prompt"] = "{task}: "
    params["train"]["one_set_a_batch"] = True


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("union") / "project")
    project.folder.mkdir()
    check_out(project)
    rng = random.Random(0)
    own = project.folder / "data/own"
    write_flag(own / "flag.jsonl", rng, 60)
    write_beir(own / "shop", rng, {"train": 30, "dev": 8, "test": 10})
    project.edit_params(with_a_union)
    project.output = project.dvc(  # type: ignore[attr-defined]
        "repro",
        "evaluate_after@embedding",
        "evaluate_teacher@embedding",
        "evaluate_before@embedding",
        "overlap@embedding",
    )
    return project


def test_train_rows_stand_in_the_proportion_of_the_weights_and_each_names_its_set(project: Project) -> None:
    splits = {split: read_split(project.folder / f"data/sets/both/{split}.parquet") for split in PARTS}
    counts = {split: [len(part.rows) for part in splits[split].parts()] for split in PARTS}
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
    for model in ("before", "after", "teacher"):
        found = read_json(project.folder / f"metrics/embedding/{model}.json")["in_domain"]
        assert list(found) == ["both", "flag", "shop"]
        mean = (found["flag"]["map"] * 12 + found["shop"]["map"] * 10) / 22
        assert found["both"]["map"] == pytest.approx(mean, abs=2e-6)


def test_the_overlap_of_each_set_with_the_others_test_split_is_measured(project: Project) -> None:
    found = read_json(project.folder / "metrics/embedding/overlap.json")
    assert {"both", "flag → shop", "shop → flag", "both → pydocs"} <= set(found)
    assert set(found["flag → shop"]) == {"train-dev", "train-test"}


def test_a_change_of_one_set_runs_the_union_again(project: Project) -> None:
    with (project.folder / "data/own/flag.jsonl").open("a") as file:
        file.write(json.dumps({"query": "a new one", "pos": ["new, quite"], "neg": ["old, rather"]}) + "\n")
    assert {"unite@both", "fetch@flag"} <= ran(project.dvc("repro", "unite@both", "fetch@flag"))
