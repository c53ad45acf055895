"""The teacher's embeddings beside its scores: what is written, what that costs, and how others come by it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import load_dataset
from sentence_transformers import SentenceTransformer

from decant.data.scores import read_embeddings, read_scores
from decant.data.sets import Row, Split, read_split, write_split
from decant.errors import DecantError
from tests.support.planted_project import TASK, command, make_project, own_set, stage
from tests.support.project import Project

GUARDED = "Find what is meant"
NEVER = {"DECANT_TEACHER": "never"}
PIPELINE = """
stages:
  score:
    foreach: {reranker: {}}
    do:
      cmd: python -m stages.score ${key}
      deps: [data/mined/reranker.parquet]
      params: ["${key}.teacher", "${key}.replay"]
      outs: [{"data/scores/${key}": {persist: true}}]
"""


def wanted(params: Any) -> None:
    """Embeddings, and a guard set that is replayed."""
    params["reranker"]["teacher"]["embeddings"] = True
    params["datasets"]["third"] = own_set(GUARDED)
    params["reranker"].update(guard="third", replay=0.5)


def make(folder: Path, edit: Callable[[Any], None] = wanted) -> Project:
    """The guard set's queries are also queries of the train split: of another task, and so behind another prompt."""
    project = make_project(folder, "bi_encoder", "sentence-transformers", edit)
    rows = read_split(project.folder / "data/mined/reranker.parquet").rows[:24]
    others = rows[1:] + rows[:1]  # documents of the train split, and no pair of it, which would have two scores
    guarded = [
        Row(row.query, [f"{row.positive[0]} too"], other.negative[:2]) for row, other in zip(rows, others, strict=True)
    ]
    write_split(folder / "data/sets/third/train.parquet", Split(guarded, GUARDED))
    return project


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make(tmp_path_factory.mktemp("embeddings") / "p")
    stage(project, "score", "reranker")
    return project


@pytest.fixture
def copy(scored: Project, tmp_path: Path) -> Project:
    Project(scored.folder.parent / "cache").copy(tmp_path / "cache")
    return scored.copy(tmp_path / "p")


def folder_of(project: Project) -> Path:
    return project.folder / "data/scores/reranker"


def written(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder_of(project).iterdir())}


def texts_of(project: Project, name: str) -> tuple[list[str], list[str]]:
    """The distinct queries and documents of a file of scores, as they come."""
    table = read_scores(folder_of(project), name)
    return list(dict.fromkeys(table["query"].to_pylist())), list(dict.fromkeys(table["candidate"].to_pylist()))


def unread(project: Project, **environment: str) -> dict[str, int]:
    """File → texts that the teacher must read, as `decant plan` says."""
    said = command(project, "plan", "reranker", **NEVER, **environment)
    cells = [line.split() for line in said.splitlines()]
    return {row[0]: int(row[3]) for row in cells if len(row) == 6 and row[1].isdigit()}


def test_the_embeddings_are_the_models_own(scored: Project) -> None:
    found = read_embeddings(folder_of(scored))
    model = SentenceTransformer(str(scored.folder / "teacher"), device="cpu")
    queries, documents = texts_of(scored, "train")
    for role, texts, prompt in (
        ("query", queries, f"Instruct: {TASK}\nQuery:"),
        ("document", documents + texts_of(scored, "replay")[1], ""),
    ):
        places = found.find(role, pa.array(texts))
        assert places.min() >= 0
        assert np.abs(found.vectors[places] - model.encode(texts, prompt=prompt)).max() < 1e-5
    replayed = texts_of(scored, "replay")[0]  # which the train split has too, behind its own prompt: they come after it
    assert set(replayed) <= set(queries)
    encoded = model.encode(replayed, prompt=f"Instruct: {GUARDED}\nQuery:")
    start = len(queries) + len(documents)
    assert np.abs(found.vectors[start : start + len(replayed)] - encoded).max() < 1e-5


def test_the_scores_are_made_of_what_is_written(scored: Project) -> None:
    found, table = read_embeddings(folder_of(scored)), read_scores(folder_of(scored), "train")
    sides = [
        found.vectors[found.find(role, table[column].combine_chunks())]
        for role, column in (("query", "query"), ("document", "candidate"))
    ]
    assert np.einsum("ij,ij->i", *sides).tobytes() == table["score"].to_numpy().tobytes()


def test_each_text_has_a_row_a_role_and_what_is_not_trained_on_has_none(scored: Project) -> None:
    folder = folder_of(scored)
    table = load_dataset(str(folder), "embeddings", split="train")
    queries, documents = texts_of(scored, "train")
    others = [text for text in texts_of(scored, "replay")[1] if text not in documents]
    rows = [*(("query", text) for text in queries), *(("document", text) for text in documents)]
    rows += [*(("query", text) for text in texts_of(scored, "replay")[0]), *(("document", text) for text in others)]
    assert list(zip(table["role"], table["text"], strict=True)) == rows
    found = read_embeddings(folder)
    assert found.find("query", pa.array(documents[:3])).tolist() == [-1] * 3
    tested = set(texts_of(scored, "test_in_domain")[0]) - set(queries)
    assert set(found.find("query", pa.array(sorted(tested))).tolist()) == {-1}
    assert found.find("query", pa.array([], pa.string())).tolist() == []

    manifest = json.loads((folder / "manifest.json").read_text())
    described = manifest["embeddings"]
    assert (described["texts"], described["dimension"], described["precision"]) == (len(rows), 64, "float32")
    first = len(queries) + len(documents)
    assert described["splits"] == {"train": first, "replay": len(rows) - first}
    assert described["origins"][0]["texts"] == len(rows)
    assert manifest["data"]["replay"]["dataset"] == "third"
    assert manifest["files"].keys() == {"train.parquet", "test_in_domain.parquet", "replay.parquet"}
    assert load_dataset(str(folder)).keys() == {"train", "test_in_domain", "replay"}
    assert f"{len(rows)} rows" in (folder / "README.md").read_text()


def test_a_second_run_reads_nothing_and_without_them_the_file_is_empty(copy: Project) -> None:
    with_them = written(copy)
    copy.edit_params(lambda params: params["reranker"]["teacher"].update(embeddings=False))
    stage(copy, "score", "reranker", **NEVER)
    without = written(copy)
    assert without["embeddings.parquet"] == b""  # DVC wants one
    changed = {name for name in with_them if with_them[name] != without[name]}
    assert changed == {"embeddings.parquet", "manifest.json", "README.md"}
    assert json.loads(with_them["manifest.json"]).keys() - json.loads(without["manifest.json"]).keys() == {"embeddings"}
    assert "embeddings.parquet" not in without["README.md"].decode()
    with pytest.raises(DecantError, match="the teacher's embeddings are not there") as caught:
        read_embeddings(folder_of(copy))
    assert "set reranker.teacher.embeddings to true" in caught.value.remedy
    copy.edit_params(lambda params: params["reranker"]["teacher"].update(embeddings=True))
    assert set(unread(copy).values()) == {0}
    assert "the store holds the scores of all pairs" in stage(copy, "score", "reranker", **NEVER)
    assert written(copy) == with_them


def test_another_file_than_the_manifests_is_refused(copy: Project) -> None:
    path = folder_of(copy) / "embeddings.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DecantError, match=r"embeddings\.parquet: the file is not the one that manifest.json describes"):
        read_embeddings(folder_of(copy))


def test_a_new_row_costs_its_own_texts_and_one_that_is_set_aside_has_no_embedding(copy: Project) -> None:
    path = copy.folder / "data/mined/reranker.parquet"
    split = read_split(path)
    long = "fever " * 500
    rows = [Row("new wart", [split.rows[0].positive[0]], ["new fever"]), Row(long, ["wart"], [split.rows[1].query])]
    write_split(path, Split([*rows, *split.rows], split.task))
    copy.edit_params(lambda params: params.update(store={"max_quarantined": 0.1}))
    assert unread(copy) == {"train": 4, "test_in_domain": 0, "replay": 0}
    stage(copy, "score", "reranker")
    found = read_embeddings(folder_of(copy))
    asked = pa.array(["new wart", "new fever", long, split.rows[0].query])
    assert found.find("query", asked).tolist() == [0, -1, -1, 1]
    assert found.find("document", pa.array(["wart", split.rows[1].query])).min() >= 0


def test_imported_scores_have_no_embeddings_and_their_texts_are_read(scored: Project, tmp_path: Path) -> None:
    project = scored.copy(tmp_path / "p")  # its store is empty
    names = ("train", "test_in_domain", "replay")
    known = {}
    for name in names:
        table = read_scores(folder_of(project), name)
        pairs = zip(table["query"].to_pylist(), table["candidate"].to_pylist(), strict=True)
        known |= dict(zip(pairs, table["score"].to_pylist(), strict=True))
    file = tmp_path / "theirs.jsonl"
    file.write_text("".join(json.dumps({"query": q, "passage": p, "score": s}) + "\n" for (q, p), s in known.items()))
    queries, documents = texts_of(project, "train")
    shutil.rmtree(folder_of(project))
    command(project, "import", "reranker", str(file))
    assert unread(project)["train"] == len(queries) + len(documents)
    assert unread(project)["test_in_domain"] == 0
    said = stage(project, "score", "reranker", code=1, **NEVER)
    assert "texts have no embedding yet, which reranker.teacher.embeddings asks for" in said
    assert "DECANT_TEACHER=never forbids it" in said
    assert "pairs have no score yet" not in said
    assert "or set reranker.teacher.embeddings to false" in said

    said = stage(project, "score", "reranker")
    assert "of the imported scores agree with the teacher's" in said
    found, before = read_embeddings(folder_of(project)), read_embeddings(folder_of(scored))
    for role, texts in (("query", queries), ("document", documents)):
        one, other = (e.vectors[e.find(role, pa.array(texts))] for e in (found, before))
        assert np.abs(one - other).max() < 1e-5
    manifest = json.loads((folder_of(project) / "manifest.json").read_text())
    assert manifest["files"]["train.parquet"]["origins"][0]["imported"] == "theirs.jsonl"  # the scores stay theirs
    project.edit_params(lambda params: params["reranker"]["teacher"].update(embeddings=False))
    assert set(unread(project).values()) == {0}


def test_a_colleague_with_an_empty_store_takes_in_what_lies_in_the_folder(tmp_path: Path) -> None:
    def edit(params: Any) -> None:
        wanted(params)
        params["reranker"]["teacher"]["embeddings_dtype"] = "float16"

    project = make(tmp_path / "p", edit)
    (project.folder / "dvc.yaml").write_text(PIPELINE)
    (project.folder / ".gitignore").write_text("/data/\n")
    project.git("init", "--quiet", "--initial-branch", "main")
    project.dvc("init", "--quiet")
    root = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    project.dvc("repro", **root)
    before = written(project)
    assert read_embeddings(folder_of(project)).vectors.dtype == np.float16
    elsewhere = {**root, **NEVER, "XDG_CACHE_HOME": str(tmp_path / "empty")}
    project.edit_params(lambda params: params["reranker"].update(replay=0.6))
    said = project.dvc("repro", **elsewhere)
    assert "embeddings come from data/scores/reranker" in said
    assert "self-test" not in said
    assert written(project) == before
    project.edit_params(lambda params: params["reranker"].update(replay=0.7))
    said = project.dvc("repro", **elsewhere)
    assert "the store holds the scores of all pairs" in said
    assert written(project) == before
