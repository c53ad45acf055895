"""The stage `export` runs where params ask for it, and the page's script scores with what it wrote."""

import json
import re

import pytest

from decant.data.sets import read_split
from decant.models import cross_encoder
from tests.support.project import ROOT, Project, ran

SCRIPT = re.compile(r"```python\n(# rerank\.py.*?)```", re.DOTALL)
LINE = re.compile(r" *(-?\d+\.\d{3})  (.+)")


@pytest.fixture(scope="module")
def exported(pipeline: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, set[str]]:
    """A project whose reranker is exported, and the stages that ran for it."""
    project = pipeline.copy(tmp_path_factory.mktemp("exported") / "a project")
    settings = {"formats": ["onnx", "onnx_int8"], "max_loss": 1.0}
    project.edit_params(lambda params: params.update(export={"reranker": settings}))
    return project, ran(project.dvc("repro"))


def test_it_alone_runs_and_the_report_shows_each_format(exported: tuple[Project, set[str]]) -> None:
    project, stages = exported
    assert stages == {"check", "export@reranker", "report"}
    told = json.loads((project.folder / "metrics/reranker/exported.json").read_text())
    compared = json.loads((project.folder / "metrics/comparison.json").read_text())["reranker"]["exported"]
    assert compared == told
    table = (project.folder / "report/table.md").read_text()
    assert f"| reranker | student, PyTorch | {told['map']:.4f} | – |" in table
    for name in ("onnx", "onnx_int8"):
        assert f"| reranker | {name} | {told['formats'][name]['map']:.4f} |" in table
    assert re.search(r"^\| icd10 \| embedding's in-domain, reranker's out-of-domain; ", table, re.M)
    assert re.search(r"^\| icd10 \| train \| 48 \| ", table, re.M)
    assert "onnx_int8" in (project.folder / "report/index.html").read_text()


def test_without_it_nothing_is_exported_or_shown(pipeline: Project, exported: tuple[Project, set[str]]) -> None:
    project = exported[0].copy(exported[0].folder.parent / "off")
    project.edit_params(lambda params: params.update(export={}))
    assert ran(project.dvc("repro")) == {"check", "report"}
    for name in ("report/table.md", "metrics/comparison.json"):
        assert (project.folder / name).read_bytes() == (pipeline.folder / name).read_bytes()


def test_the_pages_script_scores_as_the_student_does(exported: tuple[Project, set[str]]) -> None:
    project, _ = exported
    match = SCRIPT.search((ROOT / "docs/publishing.md").read_text(encoding="utf-8"))
    assert match is not None
    (project.folder / "rerank.py").write_text(match[1], encoding="utf-8")
    row = read_split(project.folder / "data/sets/pydocs/test.parquet").rows[0]
    student = cross_encoder.load(project.folder / "models/reranker", max_length=128)
    expected = student.predict([(row.query, document) for document in row.candidates]).tolist()
    lines = LINE.findall(project.run("python", "rerank.py", row.query, *row.candidates))
    found = {text: float(score) for score, text in lines}
    assert [float(score) for score, _ in lines] == sorted(found.values(), reverse=True)
    assert [found[text] for text in row.candidates] == pytest.approx(expected, abs=2e-3)
