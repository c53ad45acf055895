"""README and the first-run page, followed to the letter: every block in order, in one shell."""

import os
import sys
from pathlib import Path

import pytest

from decant.files import read_json
from tests.support.followed import commands_of, follow, put_environment
from tests.support.project import ROOT, Project

EXPERIMENT = "dvc exp run --temp -n slow -S train.lr=2e-5"


def test_the_pages_have_commands() -> None:
    readme = commands_of("README.md")
    assert {line.split("  #")[0].strip() for line in readme} > {"make demo", EXPERIMENT, "dvc push"}
    assert "make demo" in commands_of("docs/first-run.md")


@pytest.mark.slow
def test_readme_on_a_small_scale(pipeline: Project, tmp_path: Path) -> None:
    project = pipeline.copy(tmp_path / "a project")
    put_environment(project)
    follow(project, "README.md", project.variables())
    assert list(read_json(project.folder / "metrics/embedding/after.json")["in_domain"]) == ["faq"]
    assert any((tmp_path / "remote").rglob("*.dir"))


def test_the_first_run_on_a_small_scale(pipeline: Project, tmp_path: Path) -> None:
    """Its first command finds all done, and shows it."""
    project = pipeline.copy(tmp_path / "a project")
    put_environment(project)
    output = follow(project, "docs/first-run.md", project.variables())
    assert output.split("dvc exp run")[0].count("icd10, in-domain") > 1  # `make demo` and `decant report` both show it
    assert "reranker/after.json" in output.split("dvc metrics diff untrained")[1].split("dvc exp show")[0]


@pytest.mark.first_hour
@pytest.mark.parametrize("page", ["docs/first-run.md", "README.md"])
def test_a_page_in_a_new_environment(page: str, tmp_path: Path) -> None:
    """In a clone, with an installation, empty caches and the real sizes: an hour and more, each."""
    Project(ROOT).git("clone", "--quiet", "--no-local", "--branch", "main", str(ROOT), str(tmp_path / "decant"))
    project = Project(tmp_path / "decant")
    committed = read_json(project.folder / "metrics/comparison.json")
    others = [part for part in os.environ["PATH"].split(os.pathsep) if part != str(Path(sys.executable).parent)]
    caches = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    print(follow(project, page, {**os.environ, **caches, "PATH": os.pathsep.join(others)}))  # for `-s`
    if page == "README.md":  # whose last commands are of another set
        assert list(read_json(project.folder / "metrics/embedding/after.json")["in_domain"]) == ["faq"]
        return
    for track, of_track in read_json(project.folder / "metrics/comparison.json").items():
        for domain, sets in of_track["domains"].items():
            for name, entry in sets.items():
                shown = committed[track]["domains"][domain][name]["map"]
                wide = (shown["change"]["high"] - shown["change"]["low"]) / 2
                assert abs(entry["map"]["after"] - shown["after"]) <= wide, (track, name)
