"""The report of a real run: what it holds, and that a browser shows it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from decant.report.comparison import compared_sets
from tests.support.project import Project, recorded


def test_the_report_holds_every_figure_of_the_comparison(pipeline: Project) -> None:
    page = (pipeline.folder / "report/index.html").read_text()
    table = (pipeline.folder / "report/table.md").read_text()
    comparison = json.loads((pipeline.folder / "metrics/comparison.json").read_text())
    for track, domain, dataset, entry in compared_sets(comparison):
        for name in ("before", "after", "teacher"):
            means = json.loads((pipeline.folder / f"metrics/{track}/{name}.json").read_text())
            shown = means[domain.replace("-", "_")][dataset]["map"]
            assert entry["map"][name] == shown
            assert f"{shown:.4f}" in page
            assert f"{shown:.4f}" in table
    # gains; two tracks' sizes and trainings; the guard that interpolates; queries, agreement, scores
    assert page.count("<svg") == 1 + 4 + 1 + 3
    assert not re.search(r"""(src|href)\s*=\s*["']http""", page)  # nothing is loaded from elsewhere


def test_it_says_which_commit_models_and_revisions_it_is_of(pipeline: Project) -> None:
    page = (pipeline.folder / "report/index.html").read_text()
    assert pipeline.git("rev-parse", "HEAD~1").strip() in page  # whose results the fixture has committed since
    checksums = recorded(pipeline)
    for path in ("data/sets/icd10", "data/scores/embedding", "models/reranker"):
        assert f"{checksums[path]}  {path}" in page
    assert re.search(r"embedding\.student\.sha256: [0-9a-f]{64}", page)


def test_what_is_timed_stays_out_of_the_comparison(pipeline: Project) -> None:
    assert "second" not in (pipeline.folder / "metrics/comparison.json").read_text()
    cost = json.loads((pipeline.folder / "metrics/cost.json").read_text())
    for models in cost.values():
        assert models["teacher"]["parameters"] == 22_713_216
        assert models["student"]["parameters"] < models["teacher"]["parameters"]
        speed = models["speed"]
        assert speed["measured"]
        for name in ("teacher", "student", "ratio"):
            assert 0 < speed[name]["low"] <= speed[name]["median"] <= speed[name]["high"]


@pytest.mark.slow
def test_a_browser_shows_the_report(pipeline: Project, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium")
    shot = tmp_path / "report.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    page = (pipeline.folder / "report/index.html").as_uri()
    subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path}/profile", f"--screenshot={shot}", page],
        check=True,
        capture_output=True,
    )
    assert shot.stat().st_size > 20_000  # an empty page is a tenth of that
