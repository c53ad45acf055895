"""Users' own queries, with one positive each or with nothing, from `fetch` to n-tuples through the stages."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from decant.data.scores import read_scores
from decant.data.sets import Row, normalise, read_split
from decant.fetch.embedded import icd10
from decant.sources.references import resolve
from tests.support.planted_project import stage
from tests.support.project import ROOT, Project

SIZES = {"train": 60, "dev": 12, "test": 30}
LEAKS = 2


def lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two sets of diagnoses: for embedding `pairs`, a query and a positive a row; for the reranker `queries` alone."""
    splits = icd10.build(resolve("package:simple_icd_10_cm/data"), [], SIZES, 6, 0)
    folder = tmp_path_factory.mktemp("mined") / "p"
    own = folder / "data/own"
    own.mkdir(parents=True)
    for split in ("dev", "test"):
        (own / f"{split}.jsonl").write_text(
            lines({key: getattr(row, key) for key in ("query", "positive", "negative")} for row in splits[split])
        )
    train = splits["train"]
    (own / "pairs.jsonl").write_text(lines({"query": row.query, "positive": row.positive[0]} for row in train))
    (own / "queries.jsonl").write_text(lines({"query": row.query} for row in train))
    titles = list(dict.fromkeys(text for row in train for text in row.candidates))
    leaked = [splits["dev"][0].query, splits["test"][0].negative[0].upper()]
    (own / "titles.txt").write_text("\n".join([*titles, titles[0].upper() + "!", "", *leaked]))
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    for name, track in (("pairs", "embedding"), ("queries", "reranker")):
        params["datasets"][name] = {
            "source": "path:data/own",
            "train": f"{name}.jsonl",
            "dev": "dev.jsonl",
            "test": "test.jsonl",
            "task": params["datasets"]["icd10"]["task"],
        }
        params[track].update(in_domain=name, out_of_domain=None)
        params[track]["triplets"].update(strategy="hardest", negatives=3)
    params["embedding"]["triplets"].update(false_negative_margin=0.0)
    params["reranker"]["loss"].update(label_weight=0.0)
    yaml.dump(params, folder / "params.yaml")
    project = Project(folder)
    stage(project, "fetch", "pairs")
    stage(project, "fetch", "queries")
    stage(project, "fetch", "cwe")
    return project


def set_mine(project: Project, track: str, **keys: Any) -> None:
    project.edit_params(lambda params: params[track].update(mine=keys))


def mined(project: Project, track: str) -> list[Row]:
    return read_split(project.folder / f"data/mined/{track}.parquet").rows


def folded(texts: Iterable[str]) -> set[str]:
    return {normalise(text) for text in texts}


def held_out(project: Project, dataset: str) -> set[str]:
    """All texts of dev and test, folded."""
    splits = [read_split(project.folder / f"data/sets/{dataset}/{split}.parquet") for split in ("dev", "test")]
    return folded(text for split in splits for row in split.rows for text in (row.query, *row.candidates))


@pytest.mark.parametrize("track, what", [("embedding", "negatives"), ("reranker", "candidates")])
def test_without_mining_the_rows_are_refused_by_the_key_that_mends_it(track: str, what: str, fetched: Project) -> None:
    said = stage(fetched, "mine", track, code=1)
    assert f"60 of 60 rows have no {what}; the first is the query 'Babesiosis due to Babesia MO-1'" in said
    assert f"set {track}.mine to {{method: bm25}}" in said
    assert f"`dvc checkout mine@{track}`" in said
    assert not (fetched.folder / "data/mined").exists()
    said = stage(fetched, "score", track, code=1)
    assert f"data/mined/{track}.parquet: the train split is not there" in said
    assert f"`dvc repro mine@{track}`" in said


@pytest.mark.parametrize("method", ["bm25", "dense", "both"])
def test_pairs_get_negatives(method: str, fetched: Project, tmp_path: Path) -> None:
    project = fetched.copy(tmp_path / "p")
    set_mine(project, "embedding", method=method, corpus="titles.txt", candidates=8)
    said = stage(project, "mine", "embedding")
    assert f"{LEAKS} that stand in dev or test and 1 duplicates are left out" in said
    rows = mined(project, "embedding")
    before = {row.query: row for row in read_split(project.folder / "data/sets/pairs/train.parquet").rows}
    added = sum(len(row.negative) for row in rows)
    assert f"{added} candidates mined by {method} for {len(rows)} queries; {60 - len(rows)} queries left out" in said
    assert len(rows) == 60 if method != "bm25" else len(rows) > 50
    leaks = held_out(project, "pairs")
    for row in rows:
        assert row.positive == before[row.query].positive
        own = folded([row.query, *row.positive])
        assert 1 <= len(folded(row.negative) - own - leaks) == len(row.negative) <= 8


def test_false_negatives_among_what_is_mined_are_left_out_of_the_n_tuples(fetched: Project, tmp_path: Path) -> None:
    project = fetched.copy(tmp_path / "p")
    set_mine(project, "embedding", method="both", corpus="titles.txt", candidates=8)
    stage(project, "mine", "embedding")
    rows = mined(project, "embedding")
    once = (project.folder / "data/mined/embedding.parquet").read_bytes()
    stage(project, "mine", "embedding")
    assert (project.folder / "data/mined/embedding.parquet").read_bytes() == once
    stage(project, "score", "embedding")
    table = read_scores(project.folder / "data/scores/embedding", "train")
    assert table.num_rows == sum(len(row.candidates) for row in rows)
    manifest = json.loads((project.folder / "data/scores/embedding/manifest.json").read_text())
    assert manifest["data"]["train"]["sha256"] != manifest["data"]["test_in_domain"]["sha256"]
    said = stage(project, "triplets", "embedding")
    pairs = table.to_pylist()
    positive = {pair["row"]: pair["score"] for pair in pairs if pair["label"]}
    false = sum(pair["score"] > positive[pair["row"]] for pair in pairs)
    assert false > 10  # inclusion terms and broader diagnoses are as good as the one positive that the user knows
    assert f"{false} negatives left out as false negatives" in said
    path = project.folder / "data/triplets/embedding.parquet"
    assert pq.read_metadata(path).metadata[b"false_negatives"] == str(false).encode()
    assert all(max(each["scores"]) == each["scores"][0] for each in pq.read_table(path).to_pylist())


def test_queries_alone_get_candidates_whose_label_is_the_teacher(fetched: Project, tmp_path: Path) -> None:
    project = fetched.copy(tmp_path / "p")
    set_mine(project, "reranker", method="bm25", corpus="titles.txt", candidates=6)
    stage(project, "mine", "reranker")
    rows = mined(project, "reranker")
    leaks = held_out(project, "queries")
    for row in rows:
        assert not row.labelled
        assert 2 <= len(folded(row.candidates) - {normalise(row.query)} - leaks) == len(row.candidates) <= 6
    set_mine(project, "reranker", method="bm25", corpus="titles.txt", candidates=6, skip=2)
    stage(project, "mine", "reranker")
    skipped = {row.query: row for row in mined(project, "reranker")}
    assert any(skipped[row.query].candidates[:4] == row.candidates[2:] for row in rows if row.query in skipped)
    stage(project, "score", "reranker")
    said = stage(project, "triplets", "reranker")
    assert "false negatives" not in said
    found = re.search(r"reranker: (\d+) n-tuples of (\d+) queries, hardest, 3 negatives each; (\d+) left out", said)
    assert found
    tuples, queries, left_out = map(int, found.groups())
    assert tuples == queries == sum(len(row.candidates) > 3 for row in skipped.values()) > 20
    assert left_out == len(skipped) - queries
    metadata = pq.read_metadata(project.folder / "data/triplets/reranker.parquet").metadata
    assert metadata[b"labelled"] == b"false"


def test_without_a_corpus_the_texts_of_train_are_searched(fetched: Project, tmp_path: Path) -> None:
    project = fetched.copy(tmp_path / "p")
    set_mine(project, "embedding", method="bm25", candidates=3)
    stage(project, "mine", "embedding")
    train = read_split(project.folder / "data/sets/pairs/train.parquet").rows
    texts = {text for row in train for text in (row.query, *row.positive)}
    found = {text for row in mined(project, "embedding") for text in row.negative}
    assert found <= texts
    assert found & {row.query for row in train}
    assert found & {row.positive[0] for row in train}


def test_texts_of_the_out_of_domain_test_split_are_not_mined_either(fetched: Project, tmp_path: Path) -> None:
    project = fetched.copy(tmp_path / "p")
    (project.folder / "data/own/other.jsonl").write_text(
        lines([{"query": "an unknown query", "positive": "an unknown text", "negative": "Babesiosis, unspecified"}])
    )

    def edit(params: Any) -> None:
        params["datasets"]["other"] = {**params["datasets"]["pairs"], "test": "other.jsonl"}
        params["embedding"]["out_of_domain"] = "other"

    project.edit_params(edit)
    stage(project, "fetch", "other")
    set_mine(project, "embedding", method="bm25", corpus="titles.txt")
    assert f"{LEAKS + 1} that stand in dev or test" in stage(project, "mine", "embedding")
    assert not any("Babesiosis, unspecified" in row.negative for row in mined(project, "embedding"))


def test_rows_with_candidates_are_handed_on_to_the_byte(fetched: Project, tmp_path: Path) -> None:
    project = fetched.copy(tmp_path / "p")
    (project.folder / "data/own/pairs.jsonl").write_text(
        lines({"query": f"query {n}", "positive": f"positive {n}", "negative": ["a text", "another"]} for n in range(9))
    )
    stage(project, "fetch", "pairs")
    assert "nothing is mined" in stage(project, "mine", "embedding")
    copied = (project.folder / "data/mined/embedding.parquet").read_bytes()
    assert copied == (project.folder / "data/sets/pairs/train.parquet").read_bytes()


def test_a_corpus_that_is_not_there_is_told(fetched: Project, tmp_path: Path) -> None:
    project = fetched.copy(tmp_path / "p")
    set_mine(project, "embedding", method="bm25", corpus="nowhere.txt")
    assert "path:data/own/nowhere.txt: " in stage(project, "mine", "embedding", code=1)
    set_mine(project, "embedding", method="bm25", corpus="path:elsewhere.txt")
    assert "path:elsewhere.txt: " in stage(project, "mine", "embedding", code=1)
    (project.folder / "elsewhere.txt").write_text("a wart\na wart on the sole\nBabesiosis of some kind\n")
    said = stage(project, "mine", "embedding")
    assert "3 texts to mine" in said
    assert {text for row in mined(project, "embedding") for text in row.negative} >= {"Babesiosis of some kind"}
