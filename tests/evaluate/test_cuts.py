"""What a student cuts of test splits is counted where they are read, and stands in the file of its runs."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from decant import paths
from decant.data.sets import Row, Split, write_split
from decant.data.tasks import Task
from decant.evaluate.bm25 import BM25Scorer
from decant.evaluate.cuts import count_cuts
from decant.evaluate.run import read_metrics, run_from_scores, write_results
from decant.evaluate.told import read_told
from tests.support.students import bi_encoder, cross_encoder, kind_of

SHORT, LONG = "a pear", "pear " * 40  # the students read 16 tokens
WHOLE = {"distinct": 1, "cut": 0, "share": 0.0}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, rows: list[Row], task: str = "") -> None:
    path = paths.split(name, "test")
    path.parent.mkdir(parents=True)
    write_split(path, Split(rows, task))


@pytest.mark.parametrize(
    ("make", "counts"),
    [
        (bi_encoder, {"queries": WHOLE, "documents": {"distinct": 2, "cut": 1, "share": 0.5}}),
        (cross_encoder, {"pairs": {"distinct": 2, "cut": 1, "share": 0.5}}),
    ],
)
def test_a_students_cuts_of_a_test_split_are_counted_and_told(make, counts):
    write("own", [Row(SHORT, [LONG], [SHORT])])
    write("whole", [Row(SHORT, [SHORT], [])])
    told: list[str] = []
    model = make()
    cut = count_cuts(kind_of(model).models.make_scorer(model, 64), ["own", "whole"], told.append)
    assert cut["own"] == {"test": counts}
    assert {count["cut"] for count in cut["whole"]["test"].values()} == {0}
    assert [line.partition(" of 2")[0] for line in told] == ["of own, test, 1"]


def test_a_unions_sets_are_counted_apart_with_their_own_tasks():
    tasks = {"a": Task("find"), "b": Task("find " * 20)}
    write("both", [Row(SHORT, [SHORT], [], set=name) for name in tasks], Task("", sets=tasks))
    model = bi_encoder()
    model.prompts = {"query": "{task}: ", "document": ""}
    cut = count_cuts(kind_of(model).models.make_scorer(model, 64), ["both"], print)
    assert {name: splits["test"]["queries"]["cut"] for name, splits in cut.items()} == {"a": 0, "b": 1}


def test_bm25_reads_texts_whole():
    write("own", [Row(SHORT, [LONG], [SHORT])])
    assert count_cuts(BM25Scorer(), ["own"], print) == {"own": {"test": {}}}


def test_runs_keep_what_is_cut_and_are_those_that_they_were_without():
    rows = [Row(SHORT, [LONG], [SHORT])]
    runs = {"own": run_from_scores(rows, np.array([0.5, 0.1], dtype=np.float32), "bi_encoder")}
    cut = {"own": {"test": {"documents": {"distinct": 2, "cut": 1, "share": 0.5}}}}
    write_results("embedding", "after", {"in_domain": "own"}, runs, cut)
    write_results("embedding", "before", {"in_domain": "own"}, runs)
    after, before = (paths.RUNS / "embedding" / f"{model}.parquet" for model in ("after", "before"))
    assert read_told(after) == {"cut": cut, "matches": {}}
    assert read_told(before) == {"cut": {}, "matches": {}}
    assert not pq.read_schema(before).metadata
    assert read_metrics(after)["in_domain"]["own"].keys() == read_metrics(before)["in_domain"]["own"].keys()
    metrics = [(paths.METRICS / "embedding" / f"{model}.json").read_bytes() for model in ("after", "before")]
    assert metrics[0] == metrics[1]
