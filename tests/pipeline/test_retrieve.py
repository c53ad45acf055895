"""The stage `retrieve` runs where params ask for it, and the page's script answers with both students."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from decant.data.corpus import read_corpus, write_corpus
from decant.evaluate.metrics.corpus import MEASURES
from tests.support.project import ROOT, Project, ran

MODELS = ("after", "baseline", "before", "bm25", "teacher")
SCRIPT = re.compile(r"```python\n(# search\.py.*?)```", re.DOTALL)
HIT = re.compile(r" +-?\d+\.\d{3}  (.+)")


def keep(project: Project, name: str, count: int) -> None:
    """Cut a set's corpus, so that a search of it takes a moment."""
    path = project.folder / f"data/sets/{name}/corpus.parquet"
    table = read_corpus(path).slice(0, count)
    write_corpus(path, zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def searched(pipeline: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, set[str]]:
    """A project whose embedding track searches, and the stages that ran for it."""
    project = pipeline.copy(tmp_path_factory.mktemp("searched") / "a project")
    project.edit_params(lambda params: params.update(retrieve={"embedding": {"corpus": "test", "teacher": True}}))
    return project, ran(project.dvc("repro"))


def test_it_alone_runs_and_the_report_shows_what_every_model_finds(searched: tuple[Project, set[str]]) -> None:
    project, stages = searched
    assert stages == {"check", "retrieve@embedding", "report"}
    means = json.loads((project.folder / "metrics/embedding/retrieval.json").read_text())
    assert sorted(means) == list(MODELS)
    table = (project.folder / "report/table.md").read_text()
    page = (project.folder / "report/index.html").read_text()
    compared = json.loads((project.folder / "metrics/comparison.json").read_text())["embedding"]["corpora"]
    for domain, name in (("in_domain", "icd10"), ("out_of_domain", "pydocs")):
        entry = compared[domain][name]
        assert entry["queries"] == 30
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
    assert "Over the whole corpora" in table
    assert "Over the whole corpora" in page


def test_without_it_nothing_is_searched_or_shown(pipeline: Project, searched: tuple[Project, set[str]]) -> None:
    project = searched[0].copy(searched[0].folder.parent / "off")
    project.edit_params(lambda params: params.update(retrieve={}))
    assert ran(project.dvc("repro")) == {"check", "report"}
    for name in ("report/table.md", "metrics/comparison.json"):
        assert (project.folder / name).read_bytes() == (pipeline.folder / name).read_bytes()


def test_the_pages_script_answers_queries_with_both_students(pipeline: Project, tmp_path: Path) -> None:
    project = pipeline.copy(tmp_path / "a project")
    keep(project, "icd10", 60)
    match = SCRIPT.search((ROOT / "docs/search.md").read_text(encoding="utf-8"))
    assert match is not None
    assert len(match[1].splitlines()) <= 25
    (project.folder / "search.py").write_text(match[1], encoding="utf-8")
    answers = HIT.findall(project.run("python", "search.py", "typhoid fever"))
    corpus = read_corpus(project.folder / "data/sets/icd10/corpus.parquet")["text"].to_pylist()
    assert len(answers) == len(set(answers)) == 5
    assert set(answers) <= set(corpus)
