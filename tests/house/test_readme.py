"""README's figures are those of the committed run, and what the docs name exists.

What is committed is read from git, so that a demo which has just rewritten metrics/ changes nothing here.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from decant.commands import app
from decant.report.table import summary
from tests.support.project import ROOT, Project, copy_of_the_checkout

DOCS = ["README.md", "README.zh.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
# What stands in docs/ablations.md, in its tables or its text, as README cites it: MAP over a teacher's.
RATIO = re.compile(r"\d\.\d{3} × ")


def committed(path: str) -> str:
    return subprocess.run(
        ["git", "show", f"HEAD:./{path}"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def comparison() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(committed("metrics/comparison.json"))
    return content


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_table_is_that_of_the_committed_metrics(name: str) -> None:
    shown = committed(name).split("<!-- table")[1].split("-->\n", 1)[1].split("<!-- end of table -->")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")][-6:] for line in shown.strip().splitlines()]
    wanted = [[cell.strip() for cell in line.strip("|").split("|")][-6:] for line in summary(comparison()).splitlines()]
    assert cells[2:] == wanted[2:]
    assert len(cells) - 2 <= 6


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_figures_of_three_seeds_are_those_of_the_ablations(name: str) -> None:
    page = committed("docs/ablations.md")
    cited = RATIO.findall(committed(name))
    assert cited
    assert [figure for figure in cited if figure not in page and figure.replace("×", "(").rstrip() not in page] == []


def test_the_changelog_and_the_citation_are_of_the_version() -> None:
    patterns = {"pyproject.toml": r'^version = "(.*)"', "CHANGELOG.md": r"^## (.*)", "CITATION.cff": r"^version: (.*)"}
    named = {name: re.findall(pattern, committed(name), re.MULTILINE)[0] for name, pattern in patterns.items()}
    assert len({*named.values()}) == 1, named


@pytest.mark.parametrize("track", ["embedding", "reranker"])
def test_the_committed_student_beats_its_start_in_domain(track: str) -> None:
    for dataset, entry in comparison()[track]["domains"]["in_domain"].items():
        assert entry["queries"] >= {"icd10": 900, "pydocs": 500}[dataset]
        assert entry["map"]["change"]["low"] > 0
        assert entry["map"]["change"]["p_value"] < 0.01


@pytest.mark.parametrize("name", DOCS)
def test_links_modules_and_commands_named_in_the_docs_exist(name: str) -> None:
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (path.parent / target).exists(), target
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert (ROOT / Path(*module.split("."))).with_suffix(".py").exists() or module in ("venv", "dvc", "pytest")
    commands = {command.name for command in app.registered_commands}
    assert set(re.findall(r"`decant ([a-z][a-z-]*)", text)) <= commands
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= set(targets)


def test_the_tests_pass_in_a_tree_whose_demo_has_run(pipeline: Project, tmp_path: Path) -> None:
    """README's two commands, one after the other: the first rewrites metrics, curves and dvc.lock."""
    project = copy_of_the_checkout(tmp_path / "clone")
    for name in ("metrics", "plots"):
        shutil.copytree(pipeline.folder / name, project.folder / name, dirs_exist_ok=True)
    shutil.copy(pipeline.folder / "dvc.lock", project.folder)
    assert "metrics/comparison.json" in project.git("status", "--short")
    tests = ["tests/house/test_readme.py", "tests/experiments/test_grids.py"]
    project.run(sys.executable, "-m", "pytest", "-q", "-k", "not demo", "-p", "no:cacheprovider", *tests)
