"""README's table is that of the committed run, and its commands exist."""

import json
import re
from pathlib import Path

import pytest

from decant.report.table import markdown
from tests.support.project import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_committed_metrics() -> None:
    comparison = json.loads((ROOT / "metrics/comparison.json").read_text())
    cost = json.loads((ROOT / "metrics/cost.json").read_text())
    shown = README.split("<!-- table")[1].split("-->\n", 1)[1].split("<!-- end of table -->")[0]
    assert shown.strip() == markdown(comparison, cost).strip()


def test_the_figures_of_three_seeds_are_those_of_the_ablations() -> None:
    page = (ROOT / "docs/ablations.md").read_text(encoding="utf-8")
    of = {}
    for grid in ("default", "thorough"):
        section = page.split(f"<!-- {grid}: ")[1].split(f"<!-- end of {grid} -->")[0]
        rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
        of.update({(grid, row[0]): (row[4], row[6]) for row in rows})
    shown = re.findall(
        r"^\| ((?:embedding|reranker)[^|]*) \| ([\d.]+ \(.+?\)) \| ([\d.]+ \(.+?\)) \|$", README, re.MULTILINE
    )
    assert len(shown) == 7
    for student, *ratios in shown:
        track, _, variant = student.partition(", ")
        grid = "thorough" if "thorough" in variant else "default"
        cell = variant.replace(" ", "-") if variant.endswith("alone") else "full"
        assert tuple(ratios) == of[grid, f"{track}-{cell}"], student


@pytest.mark.parametrize("track", ["embedding", "reranker"])
def test_the_committed_student_beats_its_start_in_domain(track: str) -> None:
    comparison = json.loads((ROOT / "metrics/comparison.json").read_text())
    entry = comparison[track]["domains"]["in_domain"]
    assert entry["queries"] >= {"icd10": 900, "pydocs": 500}[entry["dataset"]]
    assert entry["map"]["change"]["low"] > 0
    assert entry["map"]["change"]["p_value"] < 0.01


@pytest.mark.parametrize(
    "name", ["README.md", "README.zh.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_and_modules_named_in_the_docs_exist(name: str) -> None:
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (path.parent / target).exists(), target
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert (ROOT / Path(*module.split("."))).with_suffix(".py").exists() or module in ("venv", "dvc", "pytest")
