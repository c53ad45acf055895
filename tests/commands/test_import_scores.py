"""`decant import` on files as people bring them, and `score` after it."""

import json
from pathlib import Path

import pytest

from decant.data.scores import read_scores
from decant.data.sets import Row, Split, write_split
from tests.support.planted_project import TASK, command, edit_split, make_project, stage
from tests.support.project import ROOT, Project

CASE = ROOT / "tests/fetch/cases/flagembedding.jsonl"
NEVER = "every pair of every split has a score; no teacher will run"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose train split is FlagEmbedding's case, and whose test split is its last query, both with ids."""
    project = make_project(tmp_path_factory.mktemp("built") / "p", "causal_lm", "transformers")
    rows = []
    for number, line in enumerate(CASE.read_text(encoding="utf-8").splitlines()):
        given = json.loads(line)
        ids = [f"{number}-{place}" for place in range(len(given["pos"] + given["neg"]))]
        rows.append(Row(given["query"], given["pos"], given["neg"], query_id=f"q{number}", ids=ids))
    write_split(project.folder / "data/mined/reranker.parquet", Split(rows, TASK))
    write_split(project.folder / "data/sets/mine/test.parquet", Split(rows[2:], TASK))
    return project


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    return built.copy(tmp_path / "p")


def imported(project: Project, file: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    return command(project, "import", "reranker", str(file), *arguments, code=code, **environment)


def scores(project: Project) -> list[float]:
    values: list[float] = read_scores(project.folder / "data/scores/reranker", "train")["score"].to_pylist()
    return values


def test_the_scores_of_flagembedding_spare_the_teacher(project: Project) -> None:
    said = imported(project, CASE)
    assert f"reranker: 13 pairs with scores in {CASE} (flagembedding), 13 of them new to the store" in said
    assert "reranker train: 13 of 13 pairs are in the file" in said
    assert "reranker test_in_domain: 4 of 4 pairs are in the file" in said
    assert f"reranker: {NEVER}" in said
    assert "match no pair" not in said
    assert "labels" not in said
    said = stage(project, "score", "reranker", DECANT_TEACHER="never")
    assert "the store holds the scores of all pairs" in said
    assert "self-test" not in said
    assert scores(project) == [9.5, 1.5, 0.5, -0.5, 9.5, 8.5, 1.5, 0.5, -0.5, 9.5, 1.5, 0.5, -0.5]
    manifest = json.loads((project.folder / "data/scores/reranker/manifest.json").read_text())
    assert manifest["files"]["train.parquet"]["origins"][0]["imported"] == CASE.name


def test_what_a_file_lacks_and_what_no_split_has_is_told(project: Project, tmp_path: Path) -> None:
    edit_split(project, "train", lambda rows: [*rows, Row("how is it", ["fine"], ["bad"])])
    lines = CASE.read_text(encoding="utf-8").splitlines()
    strange = [{"query": f"strange {n}", "pos": ["p"], "neg": ["n", "m"], "neg_scores": [n, None]} for n in range(4)]
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join([*lines, *map(json.dumps, strange)]), encoding="utf-8")
    said = imported(project, file)
    assert "17 pairs with scores" in said
    assert "train: 13 of 15 pairs" in said
    assert "8 pairs in the file have no score, and are not imported" in said
    named = "".join(f"\n  {file}, line {4 + n}: 'strange {n}', 'n'" for n in range(3))
    assert f"4 pairs match no pair of any split; the store keeps their scores{named}\n  …\n" in said
    assert NEVER not in said
    assert "2 pairs have no score yet: the teacher will read 2 pairs, and `score` first compares some" in said
    assert "DECANT_TEACHER=never forbids the teacher" in imported(project, file, DECANT_TEACHER="never")
    said = stage(project, "score", "reranker", code=1, DECANT_TEACHER="never")
    assert "2 pairs have no score yet" in said


def test_a_run_is_imported_by_the_ids_of_the_set(project: Project, tmp_path: Path) -> None:
    ends = {0: 4, 1: 5, 2: 4}
    lines = [f"q{q} Q0 {q}-{d} {d + 1} {10 - d} t" for q, end in ends.items() for d in range(end)]
    run = tmp_path / "teacher.run"
    run.write_text("\n".join([*lines, "q9 Q0 9 1 1.5 t"]))
    said = imported(project, run)
    assert "13 pairs with scores in" in said
    assert "(trec-run)" in said
    assert f"1 rows name ids without a text, and are not imported\n  {run}, line 14: q9 9" in said
    assert NEVER in said
    stage(project, "score", "reranker", DECANT_TEACHER="never")
    assert scores(project) == [10, 9, 8, 7, 10, 9, 8, 7, 6, 10, 9, 8, 7]


def test_an_engine_that_is_not_installed_is_no_hindrance(project: Project) -> None:
    project.edit_params(lambda params: params["reranker"]["teacher"].update(engine="vllm"))
    said = imported(project, CASE)
    assert f"{NEVER} (" in said
    assert "run `score` with DECANT_TEACHER=never)" in said
    stage(project, "score", "reranker", DECANT_TEACHER="never")
    assert scores(project)[0] == 9.5


def test_columns_of_ones_own_and_what_looks_like_labels(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_bytes("q,text,logit\nwörter,b,1\nwörter,c,0\n".encode("latin-1"))
    options = ["--columns", "query=q", "--columns", "score=logit", "--encoding", "latin-1"]
    said = imported(project, file, *options)
    assert "2 pairs with scores" in said
    assert "all scores are low whole numbers, as labels are" in said
    assert "--columns 'logit': not of the form" in imported(project, file, "--columns", "logit", code=1)


def test_a_file_without_scores_leaves_the_store_as_it_is(project: Project, tmp_path: Path) -> None:
    said = imported(project, CASE.with_name("swift.jsonl"), code=1)
    assert "the layout swift has no scores of a teacher" in said
    assert "Traceback" not in said
    assert not list((tmp_path / "cache").rglob("*.parquet"))
