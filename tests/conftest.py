"""A small copy of the project, run once by the real `dvc`, from which the DVC tests start."""

import getpass
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.project import Project, built_once, check_out
from tests.support.remotes import SSHD, BucketRemote, FolderRemote, Remote, s3_server, sshd

# Tests that run the real `dvc`, for minutes: first, so that no process is left with them at the end. The first file has
# the pipeline below built; those of experiments, which have small ones of their own, take that time in other processes.
LONG = ("pipeline/test_dvc.py", "experiments/", "pipeline/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of `LONG` first; all else keeps its order."""

    def place(item: pytest.Item) -> int:
        name = f"{item.path.parent.name}/{item.path.name}"
        return next((place for place, start in enumerate(LONG) if name.startswith(start)), len(LONG))

    items.sort(key=place)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A git repository with the working tree's files and small sizes, in a folder whose name has a space.

    Tests must not change it: they take a copy.
    """
    return built_once(tmp_path_factory, "checkout", check_out)


@pytest.fixture(scope="session")
def pipeline(checkout: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same after `dvc repro`, its results committed. Tests must not change it: they take a copy."""

    def build(project: Project) -> None:
        checkout.copy(project.folder)
        project.dvc("repro")
        project.commit()

    return built_once(tmp_path_factory, "pipeline", build)


@pytest.fixture(scope="session")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of a real sshd, and the key that it takes."""
    if SSHD is None:
        pytest.skip("no sshd here: install OpenSSH's server to test remotes behind SSH")
    with sshd(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3-compatible server."""
    with s3_server(tmp_path_factory.mktemp("s3")) as endpoint:
        yield endpoint


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials but those that a test gives: neither ~/.ssh nor ~/.aws, nor variables."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith(("AWS_", "SSH_AUTH"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture
def make_remote(nobody: None, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], Remote]:
    """A new, empty remote: in a directory, behind SSH, on S3."""

    def make(kind: str) -> Remote:
        if kind == "s3":
            return BucketRemote(request.getfixturevalue("s3"))
        folder = tmp_path / "team" / "decant"
        if kind == "directory":
            return FolderRemote(folder, str(folder), {}, {})
        port, key = request.getfixturevalue("ssh")
        secrets = {"keyfile": key, "user": getpass.getuser()}
        return FolderRemote(folder, f"ssh://127.0.0.1:{port}{folder}", {"timeout": 20}, secrets)

    return make
