"""The commands and stages of a track with several teachers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from decant.data.scores import read_scores
from decant.evaluate.metrics.average_precision import measure
from tests.support import tiny_models as tiny
from tests.support.planted_project import command, make_project, stage
from tests.support.project import Project

FOLDER = "data/scores/reranker"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of a planted embedding model and MiniLM, scored; what it said is kept beside it."""

    def several(params: Any) -> None:
        block = params["reranker"]
        minilm = {"kind": "bi_encoder", "engine": "sentence-transformers", "model": tiny.MINILM, "max_length": 64}
        block["teacher"] = {"ensemble": [{"weight": 2, **block["teacher"]}, minilm]}

    project = make_project(tmp_path_factory.mktemp("scored") / "p", "bi_encoder", "sentence-transformers", several)
    (project.folder / "said").write_text(stage(project, "score", "reranker"))
    return project


def test_the_stages_behind_score_read_the_joint_scores(scored: Project) -> None:
    said = (scored.folder / "said").read_text()
    assert said.index("teacher 1 of 2 (path:teacher)") < said.index(f"teacher 2 of 2 ({tiny.MINILM})")
    cost = json.loads((scored.folder / "data/cost/reranker/teacher.json").read_text())
    own = [json.loads((scored.folder / FOLDER / f"members/{number}/manifest.json").read_text()) for number in (1, 2)]
    texts = sum(file["unique_texts"] for manifest in own for file in manifest["files"].values())
    [figures] = cost["engines"].values()  # one engine on one machine has run both
    assert figures["prompts"] > texts
    stage(scored, "evaluate", "reranker", "teacher")
    rows: dict[int, list[dict[str, Any]]] = {}
    for pair in read_scores(scored.folder / FOLDER, "test_in_domain").to_pylist():
        rows.setdefault(pair["row"], []).append(pair)
    expected = []
    for pairs in rows.values():
        labels, values = (np.array([pair[name] for pair in pairs], np.float64) for name in ("label", "score"))
        expected.append(measure(labels, values.astype(np.float32), "ensemble"))
    metrics = json.loads((scored.folder / "metrics/reranker/teacher.json").read_text())
    assert metrics["in_domain"]["mine"]["map"] == round(sum(expected) / len(expected), 6)
    stage(scored, "evaluate", "reranker", "speed")
    speed = json.loads((scored.folder / "data/cost/reranker/speed.json").read_text())
    assert speed["reason"] == "the teacher is an ensemble of 2, and one model alone is timed beside the student"
    stage(scored, "triplets", "reranker")
    tuples = pq.read_table(scored.folder / "data/triplets/reranker.parquet").to_pylist()
    pairs = read_scores(scored.folder / FOLDER, "train").to_pylist()
    joint = {(pair["query"], pair["candidate"]): pair["score"] for pair in pairs}
    for row in tuples:
        assert row["scores"] == [joint[row["query"], text] for text in (row["positive"], *row["negatives"])]


def test_scores_are_imported_for_the_teacher_that_is_named(scored: Project, tmp_path: Path) -> None:
    project = scored.copy(tmp_path / "p")
    [pair, *_] = read_scores(project.folder / FOLDER / "members/2", "train").to_pylist()
    file = tmp_path / "theirs.jsonl"
    file.write_text(json.dumps({"query": pair["query"], "passage": pair["candidate"], "score": pair["score"]}))
    said = command(project, "import", "reranker", str(file), code=1)
    assert "reranker has 2 teachers, and nothing says whose scores these are" in said
    assert f"1 of 2 (path:teacher), teacher 2 of 2 ({tiny.MINILM})" in said
    assert "and --teacher is 3" in command(project, "import", "reranker", str(file), "--teacher", "3", code=1)
    said = command(project, "import", "reranker", str(file), "--teacher", "2")
    assert "1 pairs with scores in" in said
    # Of an empty store: the teacher whose scores they are has them, and the other has none.
    project.edit_params(lambda params: params.update(store={"folder": str(tmp_path / "store")}))
    said = command(project, "import", "reranker", str(file), "--teacher", "2")
    assert "1 of them new to the store" in said
    [described] = (tmp_path / "store").glob("*/teacher.json")
    assert json.loads(described.read_text())["model"] == tiny.MINILM
