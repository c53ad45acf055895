"""The stage `retrieve` runs where params ask for it, and the page's script answers with both students."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer, util

from decant.data.corpus import read_corpus, write_corpus
from decant.data.digests import text_id
from decant.data.sets import read_split
from decant.evaluate.metrics.corpus import MEASURES
from decant.models import cross_encoder
from decant.params import read_yaml
from tests.support.project import ROOT, Project, ran

MODELS = ("after", "baseline", "before", "bm25", "teacher")
SYSTEMS = {
    "bm25": "BM25",
    "after": "embedding student",
    "bm25+reranker": "BM25 → reranker student",
    "after+reranker": "embedding student → reranker student",
}
TEACHERS = "teacher+reranker-teacher"
SETTINGS = {
    "corpus": "test",
    "teacher": True,
    "rerankers": ["reranker"],
    "reranked": 10,
    "reranking_teachers": True,
    "timed": 5,
    "indexes": True,
}
SCRIPTS = re.compile(r"```python\n(# (search|index)\.py.*?)```", re.DOTALL)
HIT = re.compile(r" +-?\d+\.\d{3}  (.+)")


def keep(project: Project, name: str, count: int) -> None:
    """Cut a set's corpus, so that a search of it takes a moment."""
    path = project.folder / f"data/sets/{name}/corpus.parquet"
    table = read_corpus(path).slice(0, count)
    write_corpus(path, zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))


def texts_of(project: Project, name: str) -> set[str]:
    """The candidates of a set's test split."""
    split = read_split(project.folder / f"data/sets/{name}/test.parquet")
    return {text for row in split.rows for text in row.candidates}


@pytest.fixture(scope="module")
def searched(pipeline: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, set[str]]:
    """A project whose embedding track searches, and the stages that ran for it."""
    project = pipeline.copy(tmp_path_factory.mktemp("searched") / "a project")
    project.edit_params(lambda params: params.update(retrieve={"embedding": SETTINGS}))
    return project, ran(project.dvc("repro"))


def test_it_alone_runs_and_the_report_shows_what_every_model_finds(searched: tuple[Project, set[str]]) -> None:
    project, stages = searched
    assert stages == {"check", "retrieve@embedding", "report"}
    means = json.loads((project.folder / "metrics/embedding/retrieval.json").read_text())
    assert set(means) == {*MODELS, *SYSTEMS, TEACHERS}
    table = (project.folder / "report/table.md").read_text()
    page = (project.folder / "report/index.html").read_text()
    compared = json.loads((project.folder / "metrics/comparison.json").read_text())["embedding"]["corpora"]
    for domain, name in (("in_domain", "icd10"), ("out_of_domain", "pydocs")):
        entry = compared[domain][name]
        assert (entry["queries"], entry["documents"]) == (30, len(texts_of(project, name)))
        for model in MODELS:
            rows = pq.read_table(project.folder / f"data/retrieved/embedding/{model}.parquet").to_pylist()
            rows = [row for row in rows if row["domain"] == domain]
            assert len(rows) == 30
            assert {row["dataset"] for row in rows} == {name}
            for measure in MEASURES:
                mean = means[model][domain][name][measure]
                assert mean == entry[measure][model] == pytest.approx(np.mean([r[measure] for r in rows]), abs=1e-6)
                assert f"{mean:.4f}" in table
                assert f"{mean:.4f}" in page
        assert means["teacher"][domain][name] == pytest.approx(means["baseline"][domain][name], abs=1e-3)
        change = entry["ndcg@10"]["change"]
        assert change["mean"] == pytest.approx(entry["ndcg@10"]["after"] - entry["ndcg@10"]["before"], abs=2e-6)
        assert change["p_value"] <= change["p_holm"]
    assert "Over a corpus" in table
    assert "Over a corpus" in page


def test_the_reranker_reorders_what_was_found_first_and_the_report_has_each_system(
    searched: tuple[Project, set[str]],
) -> None:
    folder = searched[0].folder
    scorer = cross_encoder.make_scorer(cross_encoder.load(folder / "models/reranker"), None)
    split = read_split(folder / "data/sets/icd10/test.parquet")
    texts = {text_id(text): text for row in split.rows for text in row.candidates}
    for search in ("bm25", "after"):
        first, both = (
            pq.read_table(folder / f"data/retrieved/embedding/{name}.parquet").to_pylist()
            for name in (search, f"{search}+reranker")
        )
        for one, other in zip(first, both, strict=True):
            assert sorted(one["documents"][:10]) == sorted(other["documents"][:10])
            assert one["documents"][10:] == other["documents"][10:]
            assert one["recall@100"] == other["recall@100"]
        head = both[0]["documents"][:10]
        scores = scorer.score([first[0]["query"]] * len(head), [texts[document] for document in head], split.task)
        assert both[0]["scores"][:10] == pytest.approx(scores, abs=1e-4)
        assert both[0]["scores"][:10] == sorted(both[0]["scores"][:10], reverse=True)
    table = (folder / "report/table.md").read_text()
    latency = json.loads((folder / "metrics/cost.json").read_text())["embedding"]["systems"]
    means = json.loads((folder / "metrics/embedding/retrieval.json").read_text())
    assert list(latency) == list(SYSTEMS)
    for system, words in SYSTEMS.items():
        for domain, name in (("in_domain", "icd10"), ("out_of_domain", "pydocs")):
            mean = means[system][domain][name]["ndcg@10"]
            assert f"| {name}, {domain.replace('_', '-')} | {words} | {mean:.4f} |" in table
        assert 0 < latency[system]["p50"] <= latency[system]["p95"]
    page = (folder / "report/index.html").read_text()
    chart = page[page.index("Quality against time and memory") :].partition("</svg>")[0]
    assert all(f">{words}<" in chart for words in SYSTEMS.values())
    teachers = f"{means[TEACHERS]['in_domain']['icd10']['ndcg@10']:.4f}"
    assert f"| icd10, in-domain | embedding teacher → reranker teacher | {teachers} |" in table
    assert means[TEACHERS]["in_domain"]["icd10"] == pytest.approx(means["teacher"]["in_domain"]["icd10"], abs=2e-3)
    assert latency["bm25"]["bytes"] < latency["after"]["bytes"] < latency["after+reranker"]["bytes"]
    indexes = json.loads((folder / "metrics/cost.json").read_text())["embedding"]["indexes"]
    for name, figures in indexes.items():
        assert f"| embedding | {name} | {figures['recall@10']:.4f} |" in table
    assert indexes["exact"]["ndcg@10"] == means["after"]["in_domain"]["icd10"]["ndcg@10"]
    comparison = json.loads((folder / "metrics/comparison.json").read_text())["embedding"]["corpora"]
    gains = comparison["in_domain"]["icd10"]["ndcg@10"]
    assert list(gains["over_bm25"]) == ["after", "after+reranker", "bm25+reranker", TEACHERS]
    for system, over in gains["over_bm25"].items():
        assert over["mean"] == pytest.approx(gains[system] - gains["bm25"], abs=2e-6)


def test_the_default_searches_without_a_teacher(pipeline: Project, tmp_path: Path) -> None:
    """As a colleague does who trains from pulled scores."""
    project = pipeline.copy(tmp_path / "a project")
    committed = read_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"), "params.yaml")["retrieve"]
    project.edit_params(lambda params: params.update(retrieve=committed))
    assert ran(project.dvc("repro", DECANT_TEACHER="never")) == {"check", "retrieve@embedding", "report"}
    table = (project.folder / "report/table.md").read_text()
    assert all(f"| {words} |" in table for words in SYSTEMS.values())


def test_without_it_nothing_is_searched_or_shown(pipeline: Project, searched: tuple[Project, set[str]]) -> None:
    project = searched[0].copy(searched[0].folder.parent / "off")
    project.edit_params(lambda params: params.update(retrieve={}))
    assert ran(project.dvc("repro")) == {"check", "report"}
    for name in ("report/table.md", "metrics/comparison.json"):
        assert (project.folder / name).read_bytes() == (pipeline.folder / name).read_bytes()


def test_the_pages_scripts_answer_queries(pipeline: Project, tmp_path: Path) -> None:
    """With both students, and with the first through an index."""
    project = pipeline.copy(tmp_path / "a project")
    keep(project, "icd10", 60)
    page = (ROOT / "docs/search.md").read_text(encoding="utf-8")
    scripts = {name: script for script, name in SCRIPTS.findall(page)}
    assert {*scripts} == {"search", "index"}
    for name, script in scripts.items():
        assert len(script.splitlines()) <= 25
        (project.folder / f"{name}.py").write_text(script, encoding="utf-8")
    corpus = read_corpus(project.folder / "data/sets/icd10/corpus.parquet")["text"].to_pylist()
    answers = HIT.findall(project.run("python", "search.py", "typhoid fever"))
    assert len(answers) == len(set(answers)) == 5
    assert set(answers) <= set(corpus)
    model = SentenceTransformer(str(project.folder / "models/embedding"))
    [hits] = util.semantic_search(model.encode_query(["typhoid fever"]), model.encode_document(corpus), top_k=5)
    for _ in ("built", "read again"):
        assert HIT.findall(project.run("python", "index.py", "typhoid fever")) == [corpus[h["corpus_id"]] for h in hits]


def planned(project: Project, **environment: str) -> dict[str, list[int]]:
    """The lines of `decant plan --corpus`, by set: texts, texts to read, tokens."""
    output = project.decant("plan", "embedding", "--corpus", **environment)
    found = re.findall(r"^(icd10|pydocs) +(\d+) +(\d+) +(\d+)$", output, re.MULTILINE)
    assert ("every text is embedded already" in output) == all(read == "0" for _, _, read, _ in found)
    return {name: [int(number) for number in numbers] for name, *numbers in found}


def test_the_plan_of_a_corpus_counts_what_the_teacher_has_not_read(searched: tuple[Project, set[str]]) -> None:
    project = searched[0].copy(searched[0].folder.parent / "planned")
    texts = set()
    for name in ("icd10", "pydocs"):
        keep(project, name, 40)
        split = read_split(project.folder / f"data/sets/{name}/test.parquet")
        texts |= {text for row in split.rows for text in (row.query, *row.candidates)}
    new = [
        set(read_corpus(project.folder / f"data/sets/{name}/corpus.parquet")["text"].to_pylist()) - texts
        for name in ("icd10", "pydocs")
    ]
    of_test = planned(project, DECANT_TEACHER="never")  # what `corpus: test` searches
    assert [unread for _, unread, _ in of_test.values()] == [0, 0]
    project.edit_params(lambda params: params["retrieve"]["embedding"].update(corpus="whole"))
    found = planned(project, DECANT_TEACHER="never")  # candidates and queries were embedded by `retrieve`
    for (count, unread, tokens), of_set in zip(found.values(), new, strict=True):
        assert unread == len(of_set) > 0
        assert count > unread
        assert tokens >= 3 * unread
    project.edit_params(lambda params: params["embedding"]["teacher"].update(max_length=64))
    assert all(count == unread for count, unread, _ in planned(project, DECANT_TEACHER="never").values())
