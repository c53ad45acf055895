"""`decant doctor`: what it finds on this machine and in a project, and what it tells to do."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decant.commands import doctor
from decant.commands.doctor import Finding, examine
from decant.params import read_yaml
from tests.support.project import ROOT, Project
from tests.support.remotes import free_port

PROGRAM = "import typer; from decant.commands.doctor import doctor; typer.run(doctor)"  # as its user types it


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder with params.yaml, the presets, and DVC in git."""
    made = Project(tmp_path / "a project")
    (made.folder / ".dvc").mkdir(parents=True)
    (made.folder / ".dvc/config").touch()
    shutil.copy(ROOT / "params.yaml", made.folder)
    shutil.copytree(ROOT / "presets", made.folder / "presets")
    made.git("init", "--quiet")
    monkeypatch.chdir(made.folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # what the command sets, put back after the test
    # In this process the hub's client has been imported without it, and would try to reach the hub.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "no hub"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, 10**12))  # type: ignore[attr-defined]
    return made


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and the paths that it is asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()


def found() -> dict[str, Finding]:
    """The findings by what they are of; the disks' are one."""
    return {finding.what: finding for finding in examine()}


def lacking() -> list[str]:
    return [finding.what for finding in examine() if finding.mark == "lacks"]


def test_the_default_lacks_nothing_here(project: Project) -> None:
    here = found()
    assert [what for what, finding in here.items() if finding.mark == "lacks"] == []
    assert here["params.yaml"].found == "valid"
    assert here["datasets.icd10"].mark == here["reranker.student"].mark == "ok"
    assert here["remote"] == Finding("note", "remote", "none", "`dvc push` needs one: docs/sharing.md sets it up")
    assert str(project.folder) in here["disk"].found


def test_its_user_sees_what_is_lacking_and_what_to_do_and_it_ends_with_1(project: Project) -> None:
    def spoil(params: Any) -> None:
        params["embedding"]["teacher"]["model"] = "path:not/there"

    project.edit_params(spoil)
    printed = project.run("python", "-c", PROGRAM, code=1, PYTHONPATH=str(ROOT))
    assert "✗ embedding.teacher    path:not/there: " in printed
    assert "→ correct the path" in printed
    assert "1 of these stand in the way of `dvc repro`" in printed


def test_params_that_do_not_hold_are_told_and_the_rest_is_looked_at(project: Project) -> None:
    project.edit_params(lambda params: params["train"].update(epoch=2))
    here = found()
    assert here["params.yaml"].mark == "lacks"
    assert "train.epoch" in here["params.yaml"].found
    assert "epochs" in here["params.yaml"].advice + here["params.yaml"].found
    assert {"disk", "remote", "qwen3.yaml"} <= set(here)


def test_a_set_of_another_version_is_lacking(project: Project) -> None:
    project.edit_params(lambda params: params["datasets"]["cwe"]["packages"].update(cwe2="2.0.0"))
    assert lacking() == ["datasets.cwe.packages"]
    assert "cwe2 3.0.0 is installed, and params.yaml names 2.0.0" in found()["datasets.cwe.packages"].found


def test_what_params_ask_for_must_be_installed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = doctor._version
    monkeypatch.setattr(
        doctor, "_version", lambda name: None if name in ("faiss-cpu", "vllm", "mteb") else installed(name)
    )
    assert lacking() == []
    project.edit_params(lambda params: params["retrieve"].update(embedding={"indexes": True}))
    project.edit_params(lambda params: params["reranker"]["teacher"].update(engine="vllm"))
    assert lacking() == ["vllm", "faiss-cpu"]
    assert found()["faiss-cpu"].advice == "`retrieve.TRACK.indexes` needs it: pip install '.[index]'"
    assert found()["mteb"].advice == "`decant mteb` would need it: pip install '.[mteb]'"


def test_nothing_is_asked_of_the_hub(
    project: Project, hub: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, with no variable that would forbid it."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    shutil.copy(ROOT / "presets/qwen3.yaml", project.folder / "params.yaml")
    address, asked = hub
    home = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
    printed = project.run("python", "-c", PROGRAM, code=1, PYTHONPATH=str(ROOT), **home)
    assert "· reranker.student     hub:BAAI/bge-reranker-v2-m3\n" in printed
    assert "→ not in the hub's cache: `dvc repro` downloads this model\n" in printed
    assert "→ not in the hub's cache: `dvc repro` downloads this dataset\n" in printed
    assert "HF_HUB_OFFLINE" not in printed
    assert asked == []


def test_a_teacher_whose_scores_are_here_may_be_missing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = "hub:Qwen/Qwen3-Reranker-8B"

    def edit(params: Any) -> None:
        params["reranker"]["teacher"].update(
            model=teacher, revision="0" * 40, kind="causal_lm", engine="vllm", sha256=None
        )

    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "vllm" else "1")
    project.edit_params(edit)
    assert lacking() == ["vllm"]
    scores = project.folder / "data/scores/reranker"
    scores.mkdir(parents=True)
    (scores / "manifest.json").write_text('{"teacher": {"model": "hub:another/teacher"}}')
    assert lacking() == ["vllm"]
    (scores / "manifest.json").write_text(f'{{"teacher": {{"model": "{teacher}"}}}}')
    assert lacking() == []
    assert found()["reranker.teacher"].advice == "not here, and not needed while its scores are"
    (scores / "manifest.json").unlink()
    monkeypatch.setenv("DECANT_TEACHER", "never")
    assert lacking() == []


def test_every_model_that_params_name_is_looked_for(project: Project) -> None:
    shutil.copy(ROOT / "presets/thorough.yaml", project.folder / "params.yaml")
    project.edit_params(lambda params: params["baselines"].update(model="path:nowhere"))
    project.edit_params(lambda params: params["embedding"]["adapt"]["student"].update(model="path:nowhere/either"))
    here = found()
    assert lacking() == ["baselines.model", "embedding.adapt.student"]
    assert here["embedding.teacher"].found == "path:data/teachers/embedding, which the stage `adapt` makes"


def test_a_full_disk_is_told_by_what_the_params_need(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(10**12, 0, 40 * 10**9)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert found()["disk"].mark == "ok"
    assert "the hub's cache" not in found()["disk"].found
    shutil.copy(ROOT / "presets/qwen3.yaml", project.folder / "params.yaml")
    told = found()["disk"]
    assert told.mark == "note"
    assert "the hub's cache" in told.found
    assert told.advice.startswith("a whole run wants 100 GB")


def test_without_torch_it_says_so_and_goes_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "torch" else installed(name))
    assert lacking() == ["torch"]
    assert "qwen3.yaml" in found()


def test_a_model_in_the_cache_of_the_hub_is_found_with_its_weights(project: Project, tmp_path: Path) -> None:
    shutil.copy(ROOT / "presets/qwen3.yaml", project.folder / "params.yaml")
    student = read_yaml((project.folder / "params.yaml").read_text(), "params.yaml")["embedding"]["student"]
    owner, _, name = student["model"].removeprefix("hub:").partition("/")
    snapshot = tmp_path / f"hub/models--{owner}--{name}/snapshots/{student['revision']}"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    for mark, weights in (("·", "README.md"), ("✓", "pytorch_model.bin")):
        (snapshot / weights).touch()
        printed = project.run("python", "-c", PROGRAM, code=1, PYTHONPATH=str(ROOT), HF_HUB_CACHE=str(tmp_path / "hub"))
        assert f"{mark} embedding.student    {student['model']}\n" in printed


def test_a_remote_that_answers_and_those_that_do_not(project: Project, tmp_path: Path) -> None:
    project.dvc("remote", "add", "--default", "shared", str(tmp_path / "remote"))
    assert found()["remote"].advice == "nothing is there yet: `dvc push` makes it"
    (tmp_path / "remote").mkdir()
    assert found()["remote"] == Finding("ok", "remote", f"shared, {tmp_path / 'remote'}")
    project.dvc("remote", "modify", "shared", "url", f"ssh://127.0.0.1:{free_port()}/remote")
    assert found()["remote"].mark == "note"
    assert found()["remote"].advice.startswith("it cannot be read: ")
    project.dvc("remote", "modify", "shared", "url", "s3://me:secret@bucket/remote")
    assert "secret" not in found()["remote"].found


def test_a_config_of_dvc_that_cannot_be_read_is_told(project: Project) -> None:
    (project.folder / ".dvc/config").write_text("nonsense\n")
    assert lacking() == ["DVC"]
    assert "config" in found()["DVC"].found


def test_a_folder_without_dvc_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert lacking() == ["params.yaml", "DVC"]


def test_presets_are_held_against_the_largest_gpu(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    of_presets = {path.name for path in Path("presets").glob("*.yaml")}
    monkeypatch.setattr(doctor, "_gpus", lambda: [("a GPU", 25 * 10**9), ("another", 8 * 10**9)])
    here = found()
    assert here["qwen3-0.6b.yaml"] == Finding("ok", "qwen3-0.6b.yaml", "fits: it needs a GPU with 24 GB")
    assert here["qwen3.yaml"].found == "needs a GPU with 40 GB, and the largest here has 25.0 GB"
    monkeypatch.setattr(doctor, "_gpus", lambda: [("a GPU", 42_000_000_000)])
    assert {found()[name].mark for name in of_presets} == {"ok"}


@pytest.mark.parametrize("preset", sorted((ROOT / "presets").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_header_of_a_preset_with_teachers_on_vllm_says_which_gpu_it_needs(preset: Path) -> None:
    text = preset.read_text()
    engines = {read_yaml(text, str(preset))[track]["teacher"]["engine"] for track in ("embedding", "reranker")}
    assert bool(doctor.GPU.search(text.partition("\nseed:")[0])) == ("vllm" in engines)
