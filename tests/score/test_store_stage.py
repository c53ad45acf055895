"""What the stage `score` takes from its store, what it adds to it, and what it sets aside."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from decant.data.scores import read_scores
from decant.data.sets import Row, Task
from tests.support.planted_project import TASK, command, edit_split, make_project, stage
from tests.support.project import Project


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A causal_lm teacher's scores, and their store in `cache` beside the project."""
    project = make_project(tmp_path_factory.mktemp("scored") / "p", "causal_lm", "transformers")
    stage(project, "score", "reranker")
    return project


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same with a bi_encoder."""
    project = make_project(tmp_path_factory.mktemp("embedded") / "p", "bi_encoder", "sentence-transformers")
    stage(project, "score", "reranker")
    return project


@pytest.fixture
def copy(scored: Project, tmp_path: Path) -> Project:
    return with_store(scored, tmp_path)


def with_store(project: Project, folder: Path) -> Project:
    Project(project.folder.parent / "cache").copy(folder / "cache")
    return project.copy(folder / "p")


def planned(project: Project) -> dict[str, tuple[int, str]]:
    """File → what must be read, and the share that is scored, as `decant plan` says."""
    said = command(project, "plan", "reranker", DECANT_TEACHER="never")
    cells = [line.split() for line in said.splitlines()]
    return {row[0]: (int(row[3]), row[5]) for row in cells if len(row) == 6 and row[1].isdigit()}


def scores(project: Project, name: str = "train") -> dict[tuple[str, str], float]:
    columns = read_scores(project.folder / "data/scores/reranker", name).to_pydict()
    return dict(zip(zip(columns["query"], columns["candidate"], strict=True), columns["score"], strict=True))


def test_added_queries_alone_are_scored(copy: Project) -> None:
    before = scores(copy)
    edit_split(copy, "train", lambda rows: [rows[0], Row("new wart", ["wart indeed"], ["fever"]), *rows[1:]])
    assert planned(copy) == {"train": (2, "99%"), "test_in_domain": (0, "100%")}
    stage(copy, "score", "reranker")
    after = scores(copy)
    assert len(after) == len(before) + 2
    assert {pair: after[pair] for pair in before} == before
    assert planned(copy)["train"] == (0, "100%")


def test_new_pairs_of_known_texts_cost_a_bi_encoder_nothing(embedded: Project, tmp_path: Path) -> None:
    project = with_store(embedded, tmp_path)
    before = scores(project)

    def swap(rows: list[Row]) -> list[Row]:
        return [
            Row(row.query, row.positive, other.negative) for row, other in zip(rows, rows[1:] + rows[:1], strict=True)
        ]

    edit_split(project, "train", swap)
    assert planned(project)["train"][0] == 0
    assert planned(project)["train"][1] != "100%"
    said = stage(project, "score", "reranker", DECANT_TEACHER="never")  # no teacher is needed
    assert "self-test" not in said
    after = scores(project)
    assert len(after.keys() - before.keys()) == 150
    shutil.rmtree(project.folder / "data/scores")
    stage(project, "score", "reranker", XDG_CACHE_HOME=str(tmp_path / "empty"))
    anew = scores(project)
    assert max(abs(anew[pair] - after[pair]) for pair in anew) < 1e-6


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [("max_length", 280, "max_length"), ("dtype", "bfloat16", "dtype"), ("model", "path:other", "model")],
)
def test_another_teacher_has_no_scores_and_the_first_keeps_its_own(
    key: str, value: object, field: str, copy: Project
) -> None:
    if key == "model":  # the same weights at another place are the same teacher; others are not
        (copy.folder / "teacher").rename(copy.folder / "other")
        copy.edit_params(lambda params: params["reranker"]["teacher"].update(model=value))
        assert planned(copy)["train"] == (0, "100%")
        path = copy.folder / "other/model.safetensors"
        weights = load_file(path)
        save_file({**weights, "lm_head.weight": weights["lm_head.weight"] * 2}, path, metadata={"format": "pt"})
    else:
        copy.edit_params(lambda params: params["reranker"]["teacher"].update({key: value}))
    assert planned(copy)["train"] == (180, "0%")
    said = stage(copy, "score", "reranker")
    if key != "model":
        assert re.search(rf"the store's 300 scores of path:teacher differ in {field} \(.*\); they stay there", said)
    listed = command(copy, "store")
    assert "2 teachers" in listed
    assert len(re.findall(r"^\w{16} +300 ", listed, re.MULTILINE)) == 2


def test_another_prompt_is_another_teacher(embedded: Project, tmp_path: Path) -> None:
    project = with_store(embedded, tmp_path)
    project.edit_params(lambda params: params["reranker"]["teacher"].update(document_prompt="Document: "))
    assert planned(project)["train"][1] == "0%"
    assert "differ in prompts ({" in stage(project, "score", "reranker")


def test_the_store_is_listed_and_pruned(copy: Project) -> None:
    listed = command(copy, "store")
    [line] = [line for line in listed.splitlines() if "path:teacher" in line]
    name, pairs, embeddings = line.split()[:3]
    assert (pairs, embeddings) == ("300", "0")
    assert "(causal_lm, transformers, float32, 300 tokens)" in line
    assert "no teacher is named 'x'" in command(copy, "store", "--prune", "x", code=1)
    assert "removed" in command(copy, "store", "--prune", name)
    assert "0 teachers" in command(copy, "store")
    assert planned(copy)["train"] == (180, "0%")


def test_embeddings_in_half_precision(embedded: Project, tmp_path: Path) -> None:
    project = with_store(embedded, tmp_path)
    exact = scores(project)
    project.edit_params(lambda params: params["reranker"]["teacher"].update(embeddings_dtype="float16"))
    said = stage(project, "score", "reranker")
    assert "differ in embeddings ('float32' → 'float16')" in said
    rounded = scores(project)
    worst = max(abs(rounded[pair] - exact[pair]) for pair in exact)
    assert 0 < worst < 1e-3
    card = (project.folder / "data/scores/reranker/README.md").read_text()
    assert "cosine of the embeddings (kept in float16)" in card


def test_the_store_may_be_elsewhere(copy: Project, tmp_path: Path) -> None:
    copy.edit_params(lambda params: params.update(store={"folder": str(tmp_path / "my store")}))
    assert planned(copy)["train"] == (180, "0%")
    stage(copy, "score", "reranker")
    assert list((tmp_path / "my store").glob("*/pairs/*.parquet"))


def test_the_output_is_complete_in_itself(scored: Project) -> None:
    folder = scored.folder / "data/scores/reranker"
    loaded = load_dataset(str(folder))
    assert {name: split.num_rows for name, split in loaded.items()} == {"train": 180, "test_in_domain": 120}
    assert loaded["train"].column_names == ["row", "query", "candidate", "label", "score"]
    manifest = json.loads((folder / "manifest.json").read_text())
    file = manifest["files"]["train.parquet"]
    histogram = file["histogram"]
    values = np.array(loaded["train"]["score"])
    assert sum(histogram["pairs"]) == 180
    assert sum(histogram["positives"]) == 30
    assert histogram["pairs"] == np.histogram(values, 20)[0].tolist()
    assert (histogram["edges"][0], histogram["edges"][-1]) == (file["scores"]["min"], file["scores"]["max"])
    assert manifest["identity"]["model"].startswith("sha256:")
    assert file["origins"][0]["pairs"] == 180
    assert file["origins"][0]["engine"].startswith("transformers ")
    card = (folder / "README.md").read_text()
    assert "<Instruct>: " in card
    assert "| train | mine, train | 30 | 180 |" in card


def poison(project: Project, word: str) -> None:
    """Make the teacher give no number for whatever holds a word: its embedding is NaN."""
    folder = project.folder / "teacher"
    tokens = {token for text in (word, f" {word}") for token in AutoTokenizer.from_pretrained(folder).encode(text)}
    weights = load_file(folder / "model.safetensors")
    assert len(tokens) == 2, "the word must be one token"
    weights["model.embed_tokens.weight"][sorted(tokens)] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_what_has_no_score_is_set_aside_and_never_reaches_the_triplets(scored: Project, tmp_path: Path) -> None:
    project = with_store(scored, tmp_path)
    poison(project, "unspecified")

    def add(rows: list[Row]) -> list[Row]:
        long = Row("fever " * 500, ["fever indeed"], ["wart"])
        return [Row(rows[0].query, rows[0].positive, [*rows[0].negative, "unspecified"]), *rows[1:], long]

    edit_split(project, "train", add)
    edit_split(project, "test", lambda rows: [Row(rows[0].query, ["unspecified indeed"], rows[0].negative), *rows[1:]])
    said = stage(project, "score", "reranker", code=1)
    assert "train: 2 of 183 pairs can have no score, and store.max_quarantined allows 0.10%" in said
    assert "of row 30, 'fever fever" in said
    project.edit_params(lambda params: params.update(store={"max_quarantined": 0.012}))
    said = stage(project, "score", "reranker", code=1)  # those that the engine shows are too many
    assert "train: 3 of 183 pairs can have no score" in said
    path = Path(re.search(r"→ look into (\S+), which has them all", said)[1])  # type: ignore[index]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["split"], row["row"], row["candidate"]) for row in rows] == [
        ("train", 0, "unspecified"),
        ("train", 30, "fever indeed"),
        ("train", 30, "wart"),
        ("test_in_domain", 0, "unspecified indeed"),
    ]
    assert rows[0]["reason"] == "the engine gives a score that is not a finite number"
    assert rows[1]["reason"].startswith("the query leaves no room for a document within 300 tokens: it takes ")

    project.edit_params(lambda params: params.update(store={"max_quarantined": 0.1}))
    said = stage(project, "score", "reranker")
    assert "4 pairs have no score; quarantine.jsonl beside the scores says why" in said
    folder = project.folder / "data/scores/reranker"
    assert (folder / "quarantine.jsonl").read_text() == path.read_text()
    table = read_scores(folder, "train")
    assert table.num_rows == 180
    assert table["score"].null_count == 0
    assert np.isfinite(table["score"].to_numpy()).all()
    assert json.loads((folder / "manifest.json").read_text())["files"]["train.parquet"]["quarantined"] == 3

    project.edit_params(lambda params: params["reranker"]["triplets"].update(strategy="hardest", negatives=5))
    stage(project, "triplets", "reranker")
    drawn = pq.read_table(project.folder / "data/triplets/reranker.parquet").to_pylist()
    texts = {text for row in drawn for text in (row["query"], row["positive"], *row["negatives"])}
    assert len(drawn) == 30
    assert not any("unspecified" in text or text.startswith("fever fever") for text in texts)
    said = stage(project, "evaluate", "reranker", "teacher")
    average = float(re.search(r"'map': ([0-9.]+)", said)[1])  # type: ignore[index]
    assert average == pytest.approx((19 + 1 / 6) / 20)  # the planted teacher is right, but where it has no score


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_scores_that_exist_come_in_and_are_compared(scored: Project, tmp_path: Path) -> None:
    project = scored.copy(tmp_path / "p")  # its store is empty
    known = {**scores(project), **scores(project, "test_in_domain")}
    shutil.rmtree(project.folder / "data/scores")
    part = dict(list(known.items())[:-50])
    rows = [{"query": q, "passage": p, "score": score, "more": 1} for (q, p), score in part.items()]
    file = write_rows(tmp_path / "theirs.jsonl", [*rows, {"query": "no such", "passage": "pair", "score": 1}])
    said = command(project, "import", "reranker", str(file))
    assert "251 pairs with scores in" in said
    assert "251 of them new to the store" in said
    assert "train: 180 of 180 pairs are in the file" in said
    assert "test_in_domain: 70 of 120 pairs are in the file" in said
    assert f"1 pairs match no pair of any split; the store keeps their scores\n  {file}, line 251: 'no such'" in said
    assert "50 pairs have no score yet: the teacher will read 50 pairs" in said
    assert planned(project) == {"train": (0, "100%"), "test_in_domain": (50, "58%")}
    said = stage(project, "score", "reranker")
    assert "32 of the imported scores agree with the teacher's" in said
    assert max(abs(scores(project)[pair] - score) for pair, score in scores(scored).items()) < 1e-4
    manifest = json.loads((project.folder / "data/scores/reranker/manifest.json").read_text())
    assert manifest["files"]["train.parquet"]["origins"][0]["imported"] == "theirs.jsonl"
    assert {origin["pairs"] for origin in manifest["files"]["test_in_domain.parquet"]["origins"]} == {50, 70}
    assert "imported from theirs.jsonl" in (project.folder / "data/scores/reranker/README.md").read_text()
    assert "0 of them new to the store" in command(project, "import", "reranker", str(file))


def test_imported_scores_of_another_scale_are_never_mixed(scored: Project, tmp_path: Path) -> None:
    project = scored.copy(tmp_path / "p")
    rows = [{"query": q, "passage": p, "score": 1 / (1 + np.exp(-score))} for (q, p), score in scores(project).items()]
    shutil.rmtree(project.folder / "data/scores")
    command(project, "import", "reranker", str(write_rows(tmp_path / "squashed.jsonl", rows)))
    said = stage(project, "score", "reranker", code=1)
    assert "imported scores differ from the teacher's by up to" in said
    assert "on another scale" in said


def test_a_prompt_that_came_with_the_data_decides_scores_and_comes_back_with_them(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", "bi_encoder", "sentence-transformers")
    described = project.folder / "teacher" / "config_sentence_transformers.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "prompts": {}}))
    stage(project, "score", "reranker")
    bare = scores(project)
    edit_split(project, "train", task=Task(TASK, "Find: "))
    assert planned(project)["train"][1] == "0%"
    stage(project, "score", "reranker")
    assert scores(project) != bare
    prompted = scores(project)
    manifest = json.loads((project.folder / "data/scores/reranker/manifest.json").read_text())
    assert [manifest["data"][name].get("prompt") for name in ("train", "test_in_domain")] == ["Find: ", None]
    shutil.rmtree(tmp_path / "cache")
    stage(project, "score", "reranker", DECANT_TEACHER="never")
    assert scores(project) == prompted
