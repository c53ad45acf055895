"""A third track: one line in decant/kinds.py, a block in params.yaml, its stages in dvc.yaml, and nothing else."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project, ran

NAME = "titles"


def add_to_dvc_yaml(path: Path) -> None:
    """Give the track its own of whatever the reranker has."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        lines.append(line)
        if line.strip() == "reranker: ${reranker}" or line.startswith(
            ("    - data/sets/${reranker", "    - metrics/reranker", "    - plots/reranker")
        ):
            lines.append(line.replace("reranker", NAME))
        elif "data/runs/reranker/baseline.parquet" in line:
            lines[-1] = line.replace("]", f", data/runs/{NAME}/baseline.parquet]")
        elif line.startswith("    params:") and line.endswith("reranker]"):
            lines[-1] = line.replace("]", f", {NAME}]")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_a_third_track_runs_to_the_report(pipeline: Project, tmp_path: Path) -> None:
    project = pipeline.copy(tmp_path / "a project")
    kinds = project.folder / "decant/kinds.py"
    kinds.write_text(kinds.read_text().replace("TRACKS = {\n", f'TRACKS = {{\n    "{NAME}": KINDS["bi_encoder"],\n'))

    def edit(params: Any) -> None:
        params[NAME] = copy.deepcopy(params["embedding"])
        params[NAME].update(in_domain="pydocs", out_of_domain="icd10")
        params[NAME]["loss"] = {"name": "kl"}
        params[NAME]["teacher"]["embeddings"] = False

    project.edit_params(edit)
    add_to_dvc_yaml(project.folder / "dvc.yaml")
    done = ran(project.dvc("repro"))
    assert {f"score@{NAME}", f"train@{NAME}", f"evaluate_after@{NAME}", f"evaluate_teacher@{NAME}", "report"} <= done
    assert not [stage for stage in done if stage.endswith(("@embedding", "@reranker"))]
    comparison = json.loads((project.folder / "metrics/comparison.json").read_text())
    assert set(comparison) == {"embedding", "reranker", NAME}
    assert comparison[NAME]["domains"]["in_domain"]["pydocs"]["map"]["after"] > 0
    table = (project.folder / "report/table.md").read_text(encoding="utf-8")
    assert f"| {NAME} | pydocs" in table
    assert 'SentenceTransformer("models/titles")' in (project.folder / f"models/{NAME}/README.md").read_text()
