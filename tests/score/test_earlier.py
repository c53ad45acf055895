"""Earlier scores, by `decant.score.earlier`: from DVC's cache, from remotes of three kinds, and each fault told apart."""

import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from decant.score.earlier import Earlier, earlier_scores
from tests.support.project import ROOT, Project
from tests.support.remotes import KINDS, FolderRemote, Remote, checked_credentials, free_port

TEACHER = {"model": "a teacher", "batch_size": 4}
PIPELINE = """
stages:
  score:
    foreach: {embedding: {}}
    do:
      cmd: python make.py ${key}
      deps: [make.py]
      params: ["${key}.teacher", seed]
      outs: ["data/scores/${key}"]
"""
MAKE = """
import pathlib, sys
{before}
folder = pathlib.Path("data/scores", sys.argv[1])
folder.mkdir(parents=True)
for name in ("manifest.json", "test.parquet", "train.parquet"):
    (folder / name).write_text(name * 1000)
"""
PROBE = """
from stages.earlier import earlier_scores
earlier = earlier_scores(sys.argv[1], pathlib.Path("data/scores/.earlier"))
files = sorted(path.name for path in pathlib.Path("data/scores/.earlier").iterdir())
print("found" if earlier.found else "lost", earlier.teacher, *files)
"""
FILES = {name: (name * 1000).encode() for name in ("manifest.json", "test.parquet", "train.parquet")}

Share = Callable[[str], tuple[Project, Project, Remote]]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of one stage, run and committed."""
    project = Project(tmp_path_factory.mktemp("scored") / "a project")
    project.folder.mkdir()
    (project.folder / "dvc.yaml").write_text(PIPELINE)
    (project.folder / "params.yaml").write_text(f"seed: 0\nembedding:\n  teacher: {TEACHER}\n")
    (project.folder / "make.py").write_text(MAKE.format(before=""))
    project.git("init", "--quiet", "--initial-branch", "main")
    project.dvc("init", "--quiet")
    project.dvc("repro", "--quiet")
    project.commit()
    return project


@pytest.fixture
def owner(scored: Project, tmp_path: Path, nobody: None) -> Project:
    return scored.copy(tmp_path / "a project")


@pytest.fixture
def share(owner: Project, make_remote: Callable[[str], Remote], tmp_path: Path) -> Share:
    """The owner pushes to a remote of a kind, a colleague clones and knows the secrets."""

    def shared(kind: str) -> tuple[Project, Project, Remote]:
        remote = make_remote(kind)
        remote.write_config(owner)
        owner.dvc("push", "--quiet")
        owner.commit()
        colleague = clone(owner, tmp_path / "colleague")
        remote.let_in(colleague)
        return owner, colleague, remote

    return shared


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Earlier]:
    """Ask for a project's earlier scores, and see that they come whole or not at all, and in silence."""

    def look_into(project: Project) -> Earlier:
        monkeypatch.chdir(project.folder)
        cached = cache(project)
        into = Path(tempfile.mkdtemp(dir=tmp_path))
        capfd.readouterr()
        earlier = earlier_scores("embedding", into)
        assert capfd.readouterr() == ("", "")
        assert {path.name: path.read_bytes() for path in into.iterdir()} == (FILES if earlier.found else {})
        assert not list(tmp_path.glob(".*partial"))
        assert cache(project) == cached
        assert (earlier.fault is None) == (earlier.remedy is None)
        assert not (earlier.found and earlier.fault)
        return earlier

    return look_into


def clone(project: Project, folder: Path) -> Project:
    project.git("clone", "--quiet", ".", str(folder))
    return Project(folder)


def cache(project: Project) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (project.folder / ".dvc/cache").rglob("*") if path.is_file()}


def set_local(project: Project, option: str, value: object) -> None:
    project.dvc("remote", "modify", "--local", "shared", option, str(value))


@pytest.fixture
def silent_port() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen()
        yield opened.getsockname()[1]


def test_where_dvc_recorded_nothing_there_is_nothing_and_no_fault(
    owner: Project, tmp_path: Path, look: Callable[..., Earlier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(owner.folder)
    assert earlier_scores("reranker", tmp_path / "other") == Earlier()
    bare = Project(tmp_path / "bare")
    bare.folder.mkdir()
    assert look(bare) == Earlier()
    (bare.folder / "dvc.lock").write_bytes((owner.folder / "dvc.lock").read_bytes())
    assert look(bare) == Earlier(teacher=TEACHER)  # no .dvc


def test_the_cache_is_enough_even_if_the_remote_is_wrong(owner: Project, look: Callable[..., Earlier]) -> None:
    owner.dvc("remote", "add", "--default", "shared", f"ssh://127.0.0.1:{free_port()}/nowhere")
    assert look(owner) == Earlier(found=True, teacher=TEACHER)


def test_without_a_remote_there_is_no_fault(owner: Project, tmp_path: Path, look: Callable[..., Earlier]) -> None:
    assert look(clone(owner, tmp_path / "colleague")) == Earlier(teacher=TEACHER)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_come_from_the_remote(kind: str, share: Share, look: Callable[..., Earlier]) -> None:
    _, colleague, _ = share(kind)
    assert look(colleague) == Earlier(found=True, teacher=TEACHER)


def test_a_spoiled_cache_is_not_taken_for_the_scores(share: Share, look: Callable[..., Earlier]) -> None:
    owner, _, remote = share("directory")
    for path in cache(owner):
        path.chmod(0o644)
        path.write_text("spoiled")
    assert look(owner).found
    for md5 in remote.names():
        remote.write(md5, b"spoiled")
    assert "corrupted" in str(look(owner).fault)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_and_a_corrupted_object_are_told_apart_and_the_remedy_helps(
    kind: str, share: Share, look: Callable[..., Earlier]
) -> None:
    owner, colleague, remote = share(kind)
    listing = max(name for name in remote.names() if name.endswith(".dir"))
    file = max(remote.names() - {listing})
    for md5, content in ((file, b""), (file, None), (listing, b"[]"), (listing, None)):
        remote.write(md5, content)
        earlier = look(colleague)
        assert earlier.teacher == TEACHER
        assert earlier.fault
        assert earlier.remedy
        assert ("does not hold the scores" in earlier.fault, "is missing" in earlier.fault) == (content is None,) * 2
        assert ("holds a corrupted object" in earlier.fault) == (content is not None)
        assert f"files/md5/{md5[:2]}/{md5[2:]}" in earlier.fault
        assert "type `dvc push score@embedding`" in earlier.remedy

        for named in re.findall(r"files/md5/(\w\w/\w+(?:\.dir)?)", earlier.remedy):
            if named.replace("/", "") in remote.names():
                remote.write(named.replace("/", ""), None)
        owner.dvc("push", "score@embedding")
        assert look(colleague).found


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_folder_is_told(kind: str, share: Share, look: Callable[..., Earlier]) -> None:
    _, colleague, remote = share(kind)
    set_local(colleague, "url", remote.url.replace("decant", "decent"))
    earlier = look(colleague)
    assert re.match(r"there is nothing at \S+decent, where the remote 'shared' should be: .+", str(earlier.fault))
    assert "`dvc remote modify shared url ADDRESS`" in str(earlier.remedy)


def test_a_folder_that_nobody_pushed_to_lacks_the_scores(share: Share, look: Callable[..., Earlier]) -> None:
    _, colleague, remote = share("directory")
    assert isinstance(remote, FolderRemote)
    empty = remote.folder.parent / "empty"
    empty.mkdir()
    set_local(colleague, "url", empty)
    assert "does not hold the scores that dvc.lock records" in str(look(colleague).fault)


def test_a_wrong_bucket_is_told(share: Share, look: Callable[..., Earlier]) -> None:
    _, colleague, _ = share("s3")
    set_local(colleague, "url", "s3://no-such-bucket/decant")
    assert re.match("there is nothing at s3://no-such-bucket/decant.*bucket does not exist", str(look(colleague).fault))


def test_an_ssh_server_out_of_reach_is_told_soon(share: Share, look: Callable[..., Earlier], silent_port: int) -> None:
    _, colleague, _ = share("ssh")
    set_local(colleague, "port", free_port())
    earlier = look(colleague)
    assert re.match("the remote 'shared' cannot be reached or read: .*Connect", str(earlier.fault))
    assert "`dvc remote list`" in str(earlier.remedy)
    set_local(colleague, "port", silent_port)
    set_local(colleague, "timeout", 1)
    started = time.monotonic()
    assert "cannot be reached or read: " in str(look(colleague).fault)
    assert time.monotonic() - started < 30  # the library itself would wait for two minutes


@pytest.mark.parametrize("key", [None, "other_key", "no_such_key"])
def test_ssh_without_the_right_key_is_a_matter_of_credentials(
    key: str | None, share: Share, look: Callable[..., Earlier], ssh: tuple[int, Path]
) -> None:
    _, colleague, _ = share("ssh")
    if key is None:
        colleague.dvc("remote", "modify", "--local", "--unset", "shared", "keyfile")
    else:
        set_local(colleague, "keyfile", ssh[1].with_name(key))
    earlier = look(colleague)
    assert "the remote 'shared' was given no credentials, or refused them: " in str(earlier.fault)
    assert "dvc remote modify --local shared keyfile" in str(earlier.remedy)


def test_s3_without_keys_or_with_wrong_ones_is_a_matter_of_credentials(
    share: Share, look: Callable[..., Earlier], s3: str
) -> None:
    _, colleague, _ = share("s3")
    with checked_credentials(s3):
        earlier = look(colleague)
    assert "the remote 'shared' was given no credentials, or refused them: " in str(earlier.fault)
    assert "access_key_id" in str(earlier.remedy)
    assert look(colleague).found
    (colleague.folder / ".dvc/config.local").unlink()
    assert "given no credentials, or refused them: Unable to locate credentials" in str(look(colleague).fault)


def test_an_s3_server_that_is_down_is_told(share: Share, look: Callable[..., Earlier]) -> None:
    _, colleague, _ = share("s3")
    set_local(colleague, "endpointurl", f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached or read: Could not connect" in str(look(colleague).fault)


def test_a_client_that_is_not_installed_is_named(
    share: Share, look: Callable[..., Earlier], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("s3", "ssh"):
        monkeypatch.setitem(sys.modules, f"dvc_{kind}", None)
    _, colleague, _ = share("directory")
    set_local(colleague, "url", "s3://team/decant")
    assert "pip install '.[s3]'" in str(look(colleague).remedy)
    set_local(colleague, "url", "ssh://127.0.0.1/decant")
    assert "pip install '.[ssh]'" in str(look(colleague).remedy)


def test_a_default_remote_that_is_none_of_the_remotes_is_named(share: Share, look: Callable[..., Earlier]) -> None:
    _, colleague, _ = share("directory")
    colleague.dvc("config", "core.remote", "typo")
    earlier = look(colleague)
    assert earlier.fault == "the remote 'typo' is the default one and is not configured"
    assert "`dvc remote list`" in str(earlier.remedy)


@pytest.mark.parametrize("command", [("repro",), ("exp", "run", "--temp")])
def test_a_stage_finds_them_while_dvc_runs_it(command: tuple[str, ...], share: Share) -> None:
    _, colleague, _ = share("directory")
    (colleague.folder / "make.py").write_text(MAKE.format(before=PROBE))
    (colleague.folder / "params.yaml").write_text(f"seed: 1\nembedding:\n  teacher: {TEACHER}\n")
    assert not cache(colleague)
    output = colleague.dvc(*command, PYTHONPATH=str(ROOT))
    assert f"found {TEACHER} manifest.json test.parquet train.parquet" in output
    assert "Traceback" not in output
