"""Scores that dvc.lock records: they are taken in where they lie, and never paid for again while a remote has them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from decant.data.scores import read_scores
from decant.data.sets import Row
from decant.score.recorded import Recorded, default_remote, folder_md5, recorded_scores
from decant.score.settings import Ensemble
from tests.support import tiny_models as tiny
from tests.support.planted_project import edit_split, make_project, stage
from tests.support.project import Project, recorded

NEVER = {"DECANT_TEACHER": "never"}
FOLDER = "data/scores/reranker"
PIPELINE = """
stages:
  score:
    foreach: {reranker: {}}
    do:
      cmd: cp -r made data/scores/${key}
      params: ["${key}.teacher"]
      outs: ["data/scores/${key}": {persist: true}]
"""


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose scores lie in their folder and in the store, and are recorded; a default remote is configured."""
    project = make_project(tmp_path_factory.mktemp("scored") / "p", "causal_lm", "transformers")
    stage(project, "score", "reranker")
    write_lock(project)
    (project.folder / ".dvc").mkdir()
    (project.folder / ".dvc/config").write_text("[core]\n    remote = shared\n")
    return project


@pytest.fixture
def clone(scored: Project, tmp_path: Path) -> Project:
    """The same elsewhere: with an empty store, and nothing in the folder of scores."""
    project = scored.copy(tmp_path / "p")
    shutil.rmtree(project.folder / "data/scores")
    return project


def write_lock(project: Project, **changed: Any) -> None:
    """Record the scores as they lie there, and their teacher's block of params."""
    block = YAML(typ="safe").load(project.folder / "params.yaml")["reranker"]["teacher"]
    block = {key: value for key, value in (block | changed).items() if value != ...}
    out = {"path": FOLDER, "md5": folder_md5(project.folder / FOLDER)}
    record = {"params": {"params.yaml": {"reranker.teacher": block}}, "outs": [out]}
    (project.folder / "dvc.lock").write_text(yaml.dump({"stages": {"score@reranker": record}}))


def lay(scored: Project, clone: Project) -> Path:
    """What `dvc pull score` does."""
    shutil.copytree(scored.folder / FOLDER, clone.folder / FOLDER)
    return clone.folder / FOLDER


def files(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.folder / FOLDER).iterdir()}


def test_a_folder_has_the_md5_that_dvc_gives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "p")
    made = project.folder / "made"
    (made / "inner").mkdir(parents=True)
    for name in ("b.parquet", "a.json", "inner/é x.txt", "inner.txt", "empty"):
        (made / name).write_text(name if name != "empty" else "")
    (project.folder / "data/scores").mkdir(parents=True)
    (project.folder / "dvc.yaml").write_text(PIPELINE)
    block = {"kind": "causal_lm", "engine": "transformers", "model": "path:m", "max_length": 9}
    (project.folder / "params.yaml").write_text(yaml.dump({"reranker": {"teacher": block}}))
    project.git("init", "--quiet")
    project.dvc("init", "--quiet")
    project.dvc("repro", "--quiet")
    monkeypatch.chdir(project.folder)
    found = recorded_scores("reranker")
    assert found is not None
    assert found.md5 == recorded(project)[FOLDER] == folder_md5(Path(FOLDER))
    assert found.teacher.max_length == 9
    (Path(FOLDER) / "a.json").unlink()
    assert folder_md5(Path(FOLDER)) != found.md5
    assert folder_md5(Path("nowhere")) is None


def test_where_dvc_recorded_nothing_that_is_understood_there_is_nothing(
    scored: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert recorded_scores("reranker") is None
    lock = (scored.folder / "dvc.lock").read_text()
    Path("dvc.lock").write_text(lock)
    assert recorded_scores("reranker") is not None
    assert recorded_scores("embedding") is None
    for broken in (lock[: len(lock) // 2], "", "- x", lock.replace("max_length", "max_size"), "a: [\n"):
        Path("dvc.lock").write_text(broken)
        assert recorded_scores("reranker") is None


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"batch_tokens": 64, "engines": 3}, True),
        ({"embeddings": True}, True),
        ({"sha256": "0" * 64}, True),  # the other names none
        ({"max_length": 64}, False),
        ({"dtype": "bfloat16"}, False),
        ({"query_prompt": "query: "}, False),
        ({"embeddings_dtype": "float16"}, False),
        ({"engine": "vllm"}, False),
        ({"model": "path:other"}, False),
        ({"dimensions": 16}, False),
    ],
)
def test_what_decides_scores_tells_teachers_apart(changed: dict[str, Any], same: bool, tmp_path: Path) -> None:
    teacher = tiny.teacher("bi_encoder", "sentence-transformers", tmp_path)
    other = type(teacher).model_validate(teacher.model_dump() | changed)
    assert Recorded("", teacher).of(other) == same


def test_teachers_of_other_weights_are_told_apart(tmp_path: Path) -> None:
    one, other = (tiny.teacher("causal_lm", "vllm", tmp_path, sha256=digit * 64) for digit in "12")
    assert Recorded("", one).of(one)
    assert not Recorded("", one).of(other)


def test_an_ensembles_scores_are_each_members_own(tmp_path: Path) -> None:
    one, other, third = (tiny.teacher("causal_lm", "vllm", tmp_path / name) for name in ("one", "other", "third"))
    both = Ensemble.model_validate({"ensemble": [one.model_dump(), {**other.model_dump(), "weight": 2}]})
    assert [Recorded("", both).of(teacher) for teacher in (one, other, third)] == [True, True, False]


def test_the_default_remote_is_the_projects_or_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_remote() is None
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("['remote \"shared\"']\n    url = /team\n")
    assert default_remote() is None
    (tmp_path / ".dvc/config").write_text("[core]\n    remote = shared\n['remote \"shared\"']\n    url = /team\n")
    assert default_remote() == "shared"
    (tmp_path / ".dvc/config.local").write_text("[core]\n    remote = mine\n")
    assert default_remote() == "mine"


def test_recorded_scores_that_are_not_here_stop_the_stage(clone: Project) -> None:
    said = stage(clone, "score", "reranker", code=1)
    assert "300 pairs have no score yet, and a teacher would have to run, though dvc.lock records" in said
    assert "`dvc pull score@reranker` brings them from the remote 'shared'" in said
    assert "`DECANT_TEACHER=start dvc repro score@reranker`" in said
    assert "self-test" not in said
    assert not (clone.folder / "data/scores").exists()
    said = stage(clone, "score", "reranker", code=1, **NEVER)
    assert "DECANT_TEACHER=never forbids it; dvc.lock records this teacher's scores, and they are not here" in said
    said = stage(clone, "score", "reranker", DECANT_TEACHER="start")
    assert "DECANT_TEACHER=start has the teacher run all the same" in said
    assert "self-test" in said


@pytest.mark.parametrize("why", ["no remote", "another teacher", "only embeddings are missing"])
def test_a_teacher_runs_where_no_pull_would_help(why: str, clone: Project, scored: Project) -> None:
    if why == "no remote":  # as in a fresh clone, whose committed dvc.lock records scores that nobody can fetch
        (clone.folder / ".dvc/config").write_text("")
    elif why == "another teacher":
        clone.edit_params(lambda params: params["reranker"]["teacher"].update(max_length=280))
    else:
        shutil.rmtree(clone.folder)
        project = make_project(clone.folder, "bi_encoder", "sentence-transformers")
        stage(project, "score", "reranker")
        write_lock(project)
        (clone.folder / ".dvc").mkdir()
        (clone.folder / ".dvc/config").write_text("[core]\n    remote = shared\n")
        shutil.rmtree(clone.folder.parent / "cache/decant/scores")
        clone.edit_params(lambda params: params["reranker"]["teacher"].update(embeddings=True))
    assert "self-test" in stage(clone, "score", "reranker")


def test_what_lies_in_the_folder_is_taken_in(scored: Project, clone: Project) -> None:
    folder = lay(scored, clone)
    said = stage(clone, "score", "reranker", **NEVER)
    assert f"300 scores come from {FOLDER}" in said
    assert files(clone) == files(scored)
    shutil.rmtree(folder)  # the store has them now
    assert "the store holds the scores of all pairs" in stage(clone, "score", "reranker", **NEVER)
    assert files(clone) == files(scored)


def test_new_pairs_alone_are_scored_where_the_recorded_scores_are_here(scored: Project, clone: Project) -> None:
    lay(scored, clone)
    before = read_scores(scored.folder / FOLDER, "train").to_pylist()
    edit_split(clone, "train", lambda rows: [*rows, Row("new wart", ["wart indeed"], ["fever"])])
    said = stage(clone, "score", "reranker")
    assert "300 scores come from" in said
    assert "self-test" in said
    assert read_scores(clone.folder / FOLDER, "train").to_pylist()[:-2] == before
    manifest = json.loads((clone.folder / FOLDER / "manifest.json").read_text())
    assert manifest["files"]["train.parquet"]["pairs"] == len(before) + 2


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_a_file_that_is_not_the_manifests_is_told_and_not_taken(harm: str, scored: Project, clone: Project) -> None:
    path = lay(scored, clone) / "train.parquet"
    if harm == "damaged":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    else:
        path.unlink()
    before = files(clone)
    said = stage(clone, "score", "reranker", code=1)
    fault = "the file is not the one that manifest.json describes (SHA-256 differs)"
    assert f"{FOLDER}/train.parquet: {fault if harm == 'damaged' else ''}" in said
    assert "; its scores are not taken in" in said
    assert "120 scores come from" in said  # those of the other file
    assert "180 pairs have no score yet" in said
    assert "`dvc pull --force score@reranker`" in said
    assert files(clone) == before


@pytest.mark.parametrize("name", ["manifest.json", "identity"])
def test_a_folder_that_is_not_this_teachers_is_told_and_left(name: str, scored: Project, clone: Project) -> None:
    path = lay(scored, clone) / "manifest.json"
    if name == "identity":
        manifest = json.loads(path.read_text())
        manifest["identity"]["tokens"] = "of an earlier version"
        path.write_text(json.dumps(manifest))
    else:
        path.write_text("{")
    before = files(clone)
    said = stage(clone, "score", "reranker", code=1)
    told = "holds scores of another teacher (of another tokens)" if name == "identity" else "the file is damaged"
    assert told in said
    assert "300 pairs have no score yet" in said
    assert files(clone) == before
