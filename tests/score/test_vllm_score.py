"""The stage `score` with the real vLLM engine and tiny Qwen3 teachers whose planted weights make them right.

Run by `make test-vllm`, which makes the environment that it needs.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from decant.data.scores import read_scores
from tests.support.planted_project import make_project, stage_anew

pytestmark = pytest.mark.vllm


@pytest.mark.parametrize(
    ("kind", "plain", "bar"),
    [
        ("causal_lm", "transformers", 1e-4),
        pytest.param("bi_encoder", "sentence-transformers", 1e-5, marks=pytest.mark.slow),
    ],
)
def test_vllm_scores_a_users_set_as_the_plain_library_does(kind: str, plain: str, bar: float, tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", kind, "vllm")
    said = project.decant("plan", "reranker", OMP_NUM_THREADS="1")
    assert re.search(r"tokens at \d+ a second \(measured on 64 of the prompts\) on 1 engine: about 0:", said)
    said = stage_anew(project, "score", "reranker")
    assert f"{plain} on the CPU" in said  # what the self-test compared with
    manifest = json.loads((project.folder / "data/scores/reranker/manifest.json").read_text())
    assert manifest["files"]["train.parquet"]["origins"] == [{"engine": "vllm 0.32.0", "pairs": 180}]
    assert manifest["self_test"]["largest_difference"] < bar
    scores = {name: read_scores(project.folder / "data/scores/reranker", name) for name in ("train", "test_in_domain")}
    cost = json.loads((project.folder / "data/cost/reranker/teacher.json").read_text())
    [(engine, took)] = cost["engines"].items()
    assert engine.startswith("vllm 0.32.0 on ")
    assert took["start_seconds"] > 0.1
    assert took["prompts"] > 100
    assert took["tokens"] > took["cached_tokens"] > (0.3 * took["tokens"] if kind == "causal_lm" else -1)
    if kind == "causal_lm":
        positive = np.array(scores["train"]["label"].to_pylist()) == 1
        values = scores["train"]["score"].to_numpy()
        assert values[positive].min() > values[~positive].max()
    project.edit_params(lambda params: params["reranker"]["teacher"].update(engine=plain))
    stage_anew(project, "score", "reranker")
    for name, table in scores.items():
        other = read_scores(project.folder / "data/scores/reranker", name)
        assert table.drop(["score"]).equals(other.drop(["score"]))
        assert np.abs(table["score"].to_numpy() - other["score"].to_numpy()).max() < bar


@pytest.mark.slow
def test_two_vllm_engines_in_processes_of_their_own(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", "causal_lm", "vllm", lambda p: p["reranker"]["teacher"].update(engines=2))
    stage_anew(project, "score", "reranker")
    assert read_scores(project.folder / "data/scores/reranker", "train").num_rows > 100


@pytest.mark.slow
def test_a_flipped_teacher_stops_before_the_full_run(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", "causal_lm", "vllm")
    path = project.folder / "teacher/model.safetensors"
    weights = load_file(path)
    weights["lm_head.weight"] = -weights["lm_head.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    said = stage_anew(project, "score", "reranker", code=1)
    assert "self-test of 16 pairs on vllm" in said
    assert "sign-flipped" in said
    assert not (project.folder / "data/scores/reranker").exists()
