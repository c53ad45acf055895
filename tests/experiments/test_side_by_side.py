"""`decant compare --html`: both checkpoints' rankings of every query on one page."""

import base64
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from decant.report.ranked import ranks
from tests.support.project import Project
from tests.support.revised_project import begun, make


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a revision `one`, and another checkpoint in the workspace, whose teacher ranks as `one` did."""
    project = begun(tmp_path_factory.mktemp("made") / "a project")
    make(project, "one", seed=1)
    runs = [project.folder / f"data/runs/{track}" for track in ("embedding", "reranker")]
    for folder in runs:
        shutil.copy(folder / "after.parquet", folder / "teacher.parquet")
    make(project, "two", seed=1, skill=1.0)
    return project


def compare(project: Project, *arguments: str, code: int = 0) -> str:
    return project.decant("compare", *arguments, code=code)


def content(page: Path) -> Any:
    """What the page's script unpacks."""
    found = re.search(r'id="ranked">([^<]+)</script>', page.read_text())
    assert found is not None
    return json.loads(zlib.decompress(base64.b64decode(found[1])))


def test_the_page_has_the_table_and_the_ranks_of_both_and_of_the_teacher(project: Project, tmp_path: Path) -> None:
    page = tmp_path / "compared.html"
    printed = compare(project, "one", "workspace", "--track", "embedding", "--html", str(page))
    assert f"Side by side: {page}" in printed
    held = content(page)
    assert held["names"] == ["first", "second", "second's teacher"]
    assert [(of["dataset"], of["domain"]) for of in held["sets"]] == [
        ("icd10", "in-domain"),
        ("pydocs", "out-of-domain"),
    ]
    [shown, *_] = held["sets"][0]["queries"]
    after = pq.read_table(project.folder / "data/runs/embedding/after.parquet").slice(0, 1).to_pylist()[0]
    teacher = pq.read_table(project.folder / "data/runs/embedding/teacher.parquet").slice(0, 1).to_pylist()[0]
    first, second, of_teacher = shown["r"]
    assert second == ranks(np.array(after["scores"]))
    assert first == of_teacher == ranks(np.array(teacher["scores"]))
    assert [held["texts"][place] for place in shown["c"]][:2] == ["positive 0", "other 0 0"]
    row = next(line for line in printed.splitlines() if line.startswith("| embedding | icd10"))
    assert all(f">{cell}</td>" in page.read_text() for cell in row.strip("| ").split(" | "))


def test_several_seeds_have_no_page_and_nothing_is_written(project: Project, tmp_path: Path) -> None:
    page = tmp_path / "compared.html"
    said = compare(project, "one,one", "two,two", "--html", str(page), code=1)
    assert "several seeds, and a page shows one checkpoint a side" in said
    assert list(tmp_path.iterdir()) == []
