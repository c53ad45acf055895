"""The stage `score`: what it prints and writes, what it refuses, and what it says before anything is paid for."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file

from decant.data.scores import read_scores
from decant.data.sets import Row, Split, read_split, write_split
from tests.support import tiny_models as tiny
from tests.support.planted_project import TASK, command, edit_split, make_project, stage
from tests.support.project import ROOT, Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("score") / "p", "causal_lm", "transformers")


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> Project:
    return project.copy(tmp_path / "copy")


def test_plan_then_score_then_plan(copy: Project) -> None:
    before = set(copy.folder.parent.rglob("*"))
    planned = command(copy, "plan", "reranker")
    assert set(copy.folder.parent.rglob("*")) == before  # nothing is written, in the store neither
    rows = {
        cells[0]: [int(cell) for cell in cells[1:5]] + [cells[5]]
        for line in planned.splitlines()
        if len(cells := line.split()) == 6 and cells[1].isdigit()
    }
    assert rows.keys() == {"train", "test_in_domain"}
    assert rows["train"][4] == "0%"
    total = sum(row[3] for row in rows.values())
    assert re.search(
        rf"{total} tokens at \d+ a second \(measured on 64 of the prompts\) on 1 engine: about 0:", planned
    )

    said = stage(copy, "score", "reranker")
    assert "reranker self-test: pairs 16, mean_of_positives" in said
    assert "transformers is the plain library itself" in said
    cost = json.loads((copy.folder / "data/cost/reranker/teacher.json").read_text())
    [(engine, took)] = cost["engines"].items()
    assert engine.startswith("transformers ")
    assert took["prompts"] == sum(row[2] for row in rows.values()) + 16  # and the self-test's
    assert total < took["tokens"] < 1.2 * total
    assert took["seconds"] > 0
    folder = copy.folder / "data/scores/reranker"
    manifest = json.loads((folder / "manifest.json").read_text())
    rendered = manifest["rendered"]["pair"]
    assert f"<Instruct>: {TASK}\n<Query>: " in rendered["text"]
    assert rendered["text"].endswith("<think>\n\n</think>\n\n")
    assert manifest["max_length"] == 300
    assert manifest["self_test"]["mean_of_positives"] > manifest["self_test"]["mean_of_random"]
    for name, (pairs, texts, read, tokens, _) in rows.items():
        table = read_scores(folder, name)
        assert table.num_rows == pairs == read == manifest["files"][f"{name}.parquet"]["pairs"]
        assert len({*table["query"].to_pylist(), *table["candidate"].to_pylist()}) == texts
        assert tokens > pairs * 90  # the template alone takes more than that
    positive = np.array(read_scores(folder, "train")["label"].to_pylist()) == 1
    scores = read_scores(folder, "train")["score"].to_numpy()
    assert scores[positive].min() > scores[~positive].max()  # the planted teacher is right
    assert "every pair is scored already" in command(copy, "plan", "reranker")

    added = pq.read_table(copy.folder / "data/sets/mine/test.parquet")
    changed = added.slice(0, added.num_rows - 5)
    pq.write_table(changed, copy.folder / "data/sets/mine/test.parquet")  # fewer rows: all known
    assert "every pair is scored already" in command(copy, "plan", "reranker")
    copy.edit_params(lambda params: params["reranker"]["teacher"].update(max_length=280))
    assert re.search(r"train .* 0%", command(copy, "plan", "reranker"))
    copy.edit_params(lambda params: params["reranker"]["teacher"].update(max_length=300))
    for name in ("train", "test"):
        edit_split(copy, name, task="another task")
    assert re.search(r"train .* 0%", command(copy, "plan", "reranker"))  # another prompt: other scores


def test_a_query_that_is_too_long_is_told_before_anything_is_scored(copy: Project) -> None:
    path = copy.folder / "data/sets/mine/test.parquet"
    test = read_split(path)
    write_split(path, Split([*test.rows, Row("fever " * 500, ["a"], ["b"])], test.task))  # the last split to be scored
    said = stage(copy, "score", "reranker", code=1)
    assert "test_in_domain: 2 of 122 pairs can have no score, and store.max_quarantined allows 0.10%" in said
    assert "the query leaves no room for a document within 300 tokens: it takes" in said
    assert "self-test" not in said


def test_the_plan_counts_tokens_without_a_teacher_where_none_may_run(copy: Project) -> None:
    said = command(copy, "plan", "reranker", DECANT_TEACHER="never")
    assert "no estimate of the time" in said
    assert "tokens to read" in said
    said = stage(copy, "score", "reranker", code=1, DECANT_TEACHER="never")
    assert "DECANT_TEACHER=never forbids it" in said


def test_a_missing_engine_is_told_before_a_model_is_looked_for(copy: Project) -> None:
    def elsewhere(params: Any) -> None:
        params["reranker"]["teacher"].update(engine="vllm", model="hub:nobody/nothing", revision="0" * 40)

    copy.edit_params(elsewhere)
    hide = "import importlib.metadata as m; import decant.score.engines.vllm as v; v.DISTRIBUTIONS = ('none-such',); "
    run = "import runpy, sys; sys.argv = ['', 'reranker']; runpy.run_module('stages.score', run_name='__main__')"
    said = copy.run("python", "-c", hide + run, code=1, PYTHONPATH=str(ROOT))
    assert "vLLM is not installed" in said
    assert "hub:nobody" not in said


def test_a_plan_that_fails_speaks_of_no_outputs(copy: Project) -> None:
    copy.edit_params(lambda params: params["reranker"]["teacher"].update(model="path:nowhere"))
    said = command(copy, "plan", "reranker", code=1)
    assert "path:nowhere: " in said
    assert "dvc checkout" not in said
    assert "dvc checkout score@reranker" in stage(copy, "score", "reranker", code=1)


def _head(project: Project) -> tuple[Path, dict]:
    path = project.folder / "teacher/model.safetensors"
    return path, load_file(path)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("flipped", "sign-flipped"),
        ("untrained", "scores are constant: all 16 are 0"),
        ("overflow", "16 of 16 scores are NaN"),
    ],
)
def test_a_teacher_that_cannot_be_right_stops_before_the_full_run(fault: str, message: str, copy: Project) -> None:
    path, weights = _head(copy)
    head = weights["lm_head.weight"]
    if fault == "flipped":
        weights["lm_head.weight"] = -head
    elif fault == "untrained":
        weights["lm_head.weight"] = head * 0
    else:
        weights["lm_head.weight"] = head + float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    said = stage(copy, "score", "reranker", code=1)
    assert "self-test of 16 pairs on transformers" in said
    assert message in said
    assert "→ look " in said or "→ the " in said
    assert not (copy.folder / "data/scores/reranker").exists()


def test_labels_that_contradict_the_teacher_stop_it(tmp_path: Path) -> None:
    """The self-test's pairs look right, and the whole set does not: only its check after the run can see it."""
    project = make_project(tmp_path / "p", "causal_lm", "transformers")

    def contradict(rows: list[Row]) -> list[Row]:
        changed = []
        for number, row in enumerate(rows):  # three in five positives lose narrowly, the others win by far
            marks = (2, 3) if number % 5 < 3 else (9, 0)
            sides = ([f"{row.query} {f'{tiny.MARK} ' * count}{side}"] for side, count in enumerate(marks))
            changed.append(Row(row.query, *sides))
        return changed

    for name in ("train", "test"):
        edit_split(project, name, contradict)
    said = stage(project, "score", "reranker", code=1)
    assert "train: the scores look sign-flipped: on average a positive beats only" in said
    assert not (project.folder / "data/scores/reranker").exists()


def test_two_engines_write_the_same_scores(copy: Project, project: Project, tmp_path: Path) -> None:
    other = project.copy(tmp_path / "other")
    stage(copy, "score", "reranker")
    other.edit_params(lambda params: params["reranker"]["teacher"].update(engines=2))
    stage(other, "score", "reranker")
    for name in ("train.parquet", "test_in_domain.parquet"):
        one, two = (p.folder / "data/scores/reranker" / name for p in (copy, other))
        assert one.read_bytes() == two.read_bytes()


def test_a_planted_bi_encoder_scores_with_its_instruct(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", "bi_encoder", "sentence-transformers")
    stage(project, "score", "reranker")
    manifest = json.loads((project.folder / "data/scores/reranker/manifest.json").read_text())
    assert manifest["rendered"]["query"]["text"].startswith(f"Instruct: {TASK}\nQuery:")
    assert manifest["rendered"]["query"]["text"].endswith("<|endoftext|>")


@pytest.mark.parametrize(
    ("kind", "engine", "cut"),
    [
        ("bi_encoder", "sentence-transformers", {"queries": 0, "documents": 1}),
        ("causal_lm", "transformers", {"pairs": 3}),
    ],
)
def test_what_the_teacher_cuts_is_counted_told_and_on_the_card(
    kind: str, engine: str, cut: dict[str, int], tmp_path: Path
) -> None:
    project = make_project(tmp_path / "p", kind, engine)
    long = "of " * 400
    edit_split(
        project,
        "train",
        lambda rows: [Row(r.query, r.positive, [*r.negative, *([long] if n < 3 else [])]) for n, r in enumerate(rows)],
    )
    said = stage(project, "score", "reranker")
    folder = project.folder / "data/scores/reranker"
    files = json.loads((folder / "manifest.json").read_text())["files"]
    counts = files["train.parquet"]["cut"]
    assert {name: count["cut"] for name, count in counts.items()} == cut
    name, number = next(item for item in cut.items() if item[1])
    told = f"{number} of {counts[name]['distinct']} {name} are longer than 300 tokens, where the teacher cuts them"
    assert f"reranker train.parquet: {told}" in said
    assert said.count("where the teacher cuts them") == 1  # nothing of the other splits
    row = f"| train | {name} | {counts[name]['distinct']} | {number} | {counts[name]['share']:.2%} |"
    assert row in (folder / "README.md").read_text()
    cost = json.loads((project.folder / "data/cost/reranker/teacher.json").read_text())
    assert cost["cut"] == {"mine": {"train": counts, "test": files["test_in_domain.parquet"]["cut"]}}
