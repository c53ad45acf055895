"""A teacher that is trained first: as a student of another teacher, by the stage `adapt`, and then it teaches."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from safetensors.torch import load_file

from decant.errors import DecantError
from decant.files import read_json
from decant.kinds import kind_of
from decant.params import parse_params
from tests.support.project import ROOT, Project, ran
from tests.support.united_project import united, with_adapted_teachers


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return united(tmp_path_factory)


def test_the_teachers_are_models_of_their_kinds_whose_scores_are_the_targets(project: Project) -> None:
    for track, kind in (("embedding", "bi_encoder"), ("reranker", "cross_encoder")):
        folder = project.folder / f"data/teachers/{track}"
        assert kind_of(folder).name == kind
        assert read_json(folder / "config.json")["num_hidden_layers"] == 2
        manifest = read_json(project.folder / f"data/scores/{track}/manifest.json")
        assert manifest["teacher"]["model"] == f"path:data/teachers/{track}"
        assert manifest["identity"]["kind"] == kind
    assert not list((project.folder / "data/teachers").glob(".*.partial"))


def test_a_student_is_made_of_its_teacher(project: Project) -> None:
    assert read_json(project.folder / "models/embedding/config.json")["num_hidden_layers"] == 1


def test_nothing_runs_again_until_the_recipe_of_the_adaptation_changes(project: Project, tmp_path: Path) -> None:
    project = project.copy(tmp_path / "project")
    assert ran(project.dvc("repro", "score@embedding", "triplets@reranker", "evaluate_before@reranker")) == set()

    def slower(params: Any) -> None:
        params["reranker"]["adapt"]["train"]["epochs"] = 1

    before = read_json(project.folder / "data/scores/reranker/manifest.json")["identity"]["model"]
    project.edit_params(slower)
    assert ran(project.dvc("repro", "triplets@reranker", "evaluate_before@reranker")) == {
        f"{stage}@reranker" for stage in ("adapt", "score", "triplets", "evaluate_before")
    }
    assert read_json(project.folder / "data/scores/reranker/manifest.json")["identity"]["model"] != before


@pytest.mark.slow
def test_two_processes_adapt_a_teacher_with_adapters(project: Project, tmp_path: Path) -> None:
    """The second one reads what the stage has scored and drawn into a folder of its own.

    That two processes change the weights as one does is seen in tests/train/test_lora.py: here the untouched ones have
    a dev MAP of 1 already, and are kept.
    """
    project = project.copy(tmp_path / "project")
    folder = project.folder / "data/teachers/embedding"
    whole = load_file(folder / "model.safetensors")

    def recipe(params: Any) -> None:
        params["embedding"]["adapt"]["train"].update(processes=2, epochs=1, lora={"rank": 4}, interpolate=False)

    project.edit_params(recipe)
    said = project.run("python", "-m", "stages.adapt", "embedding", OMP_NUM_THREADS="1")
    assert "layers have adapters of rank 4" in said
    assert load_file(folder / "model.safetensors").keys() == whole.keys()
    assert "lora: rank=4" in (folder / "README.md").read_text()
    assert kind_of(folder).name == "bi_encoder"
    assert not list((project.folder / "data/teachers").glob(".*.partial"))


def changed(track: str, **block: Any) -> str:
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    with_adapted_teachers(params)
    for path, value in block.items():
        *parents, key = path.split("__")
        inner = params[track]
        for parent in parents:
            inner = inner[parent]
        inner[key] = value
    return str(params)  # flow-style YAML, but for None


@pytest.mark.parametrize(
    ("track", "changes", "message"),
    [
        (
            "reranker",
            {"adapt": None, "teacher__model": "path:models/other"},
            "reranker.student.model is path:data/teachers/reranker, and reranker.adapt, which would train it, is null",
        ),
        (
            "embedding",
            {"mine": {"method": "both"}},
            "embedding.mine.method is both, which searches with the student, and that is path:data/teachers/embedding",
        ),
        ("embedding", {"adapt": None}, "embedding.adapt is null: path:data/teachers/embedding is the teacher that"),
        (
            "reranker",
            {"teacher__model": "path:models/other"},
            "teacher.model is path:models/other, and reranker.adapt trains one",
        ),
        (
            "reranker",
            {"adapt__loss__name": "embed_distill"},
            "adapt: loss.name is embed_distill, no loss of a cross_",
        ),
        ("embedding", {"adapt__teacher__embeddings": False}, "adapt: loss.name is embed_distill, which needs"),
        ("embedding", {"adapt__train__batch_size": 3, "adapt__train__processes": 2}, "adapt: train.processes: 2 proc"),
        ("embedding", {"adapt__train__lora": {"rank": 0}}, "embedding.adapt.train.lora.rank: found 0"),
        ("embedding", {"adapt__student__head": "fresh"}, "embedding.adapt.student.head: unknown key"),
    ],
)
def test_an_adaptation_that_cannot_be_is_refused(track: str, changes: dict[str, Any], message: str) -> None:
    text = changed(track, **changes).replace("None", "null").replace("True", "true").replace("False", "false")
    with pytest.raises(DecantError, match=message):
        parse_params(text)


def test_the_shared_training_settings_lie_under_those_of_the_adaptation(tmp_path: Path) -> None:
    text = changed("embedding").replace("None", "null").replace("True", "true").replace("False", "false")
    track = parse_params(text).track("embedding")
    assert track.adapting is not None
    assert track.adapting.train.lr == track.train.lr == 4e-4
    assert track.adapting.train.epochs == 2
    assert track.adapting.student.layers == [0, 1]
    assert track.adapting.teacher.model.startswith("package:")
    assert parse_params((ROOT / "params.yaml").read_text()).track("embedding").adapting is None
