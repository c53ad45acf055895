"""Scores made once and pulled by others, through remotes of three kinds and the real `dvc`."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.project import Project, ran, recorded
from tests.support.remotes import KINDS, Remote, free_port

Share = Callable[[str], tuple[Project, Project, Remote]]
CACHE = ".dvc/cache/files/md5"
NEVER = {"DECANT_TEACHER": "never"}
NOT_HERE = "dvc.lock records this teacher's scores, and they are not here"


def in_full(quick: str) -> list[object]:
    """All kinds of remote, of which `make test` tries one."""
    return [kind if kind == quick else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


@pytest.fixture
def share(pipeline: Project, make_remote: Callable[[str], Remote], tmp_path: Path) -> Share:
    """The owner pushes the scores, and nothing else, to a remote of a kind; a colleague elsewhere clones."""

    def shared(kind: str) -> tuple[Project, Project, Remote]:
        owner = pipeline.copy(tmp_path / "owner" / "a project")
        remote = make_remote(kind)
        remote.add(owner)
        owner.dvc("push", "score")
        owner.commit()
        owner.git("clone", "--quiet", ".", str(tmp_path / "colleague" / "a clone"))
        colleague = Project(tmp_path / "colleague" / "a clone")
        remote.let_in(colleague)
        return owner, colleague, remote

    return shared


def outputs(project: Project) -> dict[str, str]:
    """What dvc.lock records of every output in DVC's cache but what is timed."""
    elsewhere = ("metrics/", "plots/", "data/cost/")
    return {path: md5 for path, md5 in recorded(project).items() if not path.startswith(elsewhere)}


def objects(project: Project, *prefixes: str) -> set[str]:
    """The MD5 of all that makes up a project's outputs under some paths."""
    found = set()
    for path, md5 in outputs(project).items():
        if path.startswith(prefixes):
            listed = json.loads((project.folder / CACHE / md5[:2] / md5[2:]).read_text())
            found |= {md5, *(file["md5"] for file in listed)}
    return found


def lay_sets(owner: Project, colleague: Project) -> None:
    """Spare a clone the building of the data sets, which gives the same again."""
    for md5 in objects(owner, "data/sets"):
        target = colleague.folder / CACHE / md5[:2] / md5[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(owner.folder / CACHE / md5[:2] / md5[2:], target)


def in_cache(project: Project) -> set[str]:
    return {path.parent.name + path.name for path in (project.folder / CACHE).glob("??/*")}


@pytest.mark.parametrize("kind", in_full("s3"))
def test_a_colleague_pulls_the_scores_alone_and_goes_on_without_the_teacher(kind: str, share: Share) -> None:
    owner, colleague, remote = share(kind)
    scores = objects(owner, "data/scores")
    files = {path.read_bytes() for path in (owner.folder / "data/scores").glob("*/*")}
    assert len(scores) == 2 + len(files)  # a listing a track, and what both tracks have once
    costs = {recorded(owner)[f"data/cost/{track}/teacher.json"] for track in ("embedding", "reranker")}
    assert remote.names() == scores | costs
    config = (colleague.folder / ".dvc/config").read_text()
    assert not any(f"{option} =" in config for option in remote.secrets)

    colleague.dvc("pull", "score", **NEVER)
    assert in_cache(colleague) == scores | costs
    assert {path.parent.name for path in (colleague.folder / "models").glob("*/*")} == {"None"}  # which git holds
    assert not list((colleague.folder / "data").glob("triplets/*.parquet"))

    if kind != "s3":
        lay_sets(owner, colleague)
    target = "evaluate_after@embedding" if kind == "s3" else "triplets@embedding"
    output = colleague.dvc("repro", "--pull", target, **NEVER)
    assert "triplets@embedding" in ran(output)
    assert not any(stage.startswith("score") for stage in ran(output))
    assert outputs(colleague) == outputs(owner)
    if kind == "s3":
        assert {"fetch@icd10", "train@embedding", "evaluate_after@embedding"} <= ran(output)
        assert json.loads(colleague.dvc("metrics", "diff", "--json")) == {}
        after = Path("metrics/embedding/after.json")
        assert (colleague.folder / after).read_bytes() == (owner.folder / after).read_bytes()


def test_metrics_diff_would_show_another_result(pipeline: Project, tmp_path: Path) -> None:
    project = pipeline.copy(tmp_path / "a project")
    path = project.folder / "metrics/embedding/after.json"
    path.write_text(re.sub(r'("map": )[\d.]+', r"\g<1>0.123", path.read_text(), count=1))
    assert "metrics/embedding/after.json" in json.loads(project.dvc("metrics", "diff", "--json"))


@pytest.mark.parametrize("kind", in_full("s3"))
def test_a_corrupted_object_is_refused_by_the_pull(kind: str, share: Share) -> None:
    owner, colleague, remote = share(kind)
    spoiled = max(objects(owner, "data/scores/embedding") - set(outputs(owner).values()))
    remote.write(spoiled, b"spoiled")
    said = colleague.dvc("pull", "score", code=1)
    assert "ERROR" in said
    assert "Is your cache up to date?" in said
    assert spoiled not in in_cache(colleague)
    if kind == "s3":  # nor does the stage take it for the scores, or go on to a teacher
        lay_sets(owner, colleague)
        assert NOT_HERE in refused(colleague, "--pull")


def test_a_file_that_was_changed_after_the_pull_is_refused_by_its_sha256(share: Share) -> None:
    _, colleague, _ = share("directory")
    colleague.dvc("pull", "score@embedding")
    path = colleague.folder / "data/scores/embedding/train.parquet"
    content = path.read_bytes()
    path.unlink()  # a file of its own, whatever DVC linked it to
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    said = colleague.dvc("repro", "--single-item", "triplets@embedding", code=None, **NEVER)
    assert "train.parquet: the file is not the one that manifest.json describes (SHA-256 differs)" in said
    assert "`dvc pull --force score@embedding`" in said
    assert "Traceback" not in said
    assert not (colleague.folder / "data/triplets/embedding.parquet").exists()

    colleague.dvc("pull", "--force", "score@embedding")
    assert path.read_bytes() == content


def refused(colleague: Project, *options: str, **environment: str) -> str:
    """What the stage says instead of running the teacher; "" where DVC brought the scores."""
    said = colleague.dvc("repro", *options, "score@embedding", code=None, **environment)
    if "score@embedding" not in ran(said):
        assert (colleague.folder / "data/scores/embedding/manifest.json").is_file(), said
        return ""
    assert "would have to run" in said
    assert "self-test" not in said
    assert "Traceback" not in said
    return said


def unused(remote: Remote) -> str:
    """The address of a folder beside the remote's that is not there."""
    return remote.url.replace("decant", "decent")


def nowhere(_: Remote) -> str:
    return f"ssh://127.0.0.1:{free_port()}/team/decant"


@pytest.mark.parametrize(
    ("kind", "address"),
    [("directory", unused), ("s3", unused), pytest.param("ssh", nowhere, marks=pytest.mark.slow)],
)
def test_a_wrong_remote_never_falls_through_to_the_teacher(
    kind: str, address: Callable[[Remote], str], share: Share
) -> None:
    owner, colleague, remote = share(kind)
    lay_sets(owner, colleague)
    local = colleague.folder / ".dvc/config.local"
    before = local.read_text() if local.exists() else ""
    colleague.dvc("remote", "modify", "--local", "shared", "url", address(remote))
    options = [] if kind == "ssh" else ["--pull"]  # where SSH cannot connect, DVC's own pull ends the run
    for environment in ({}, NEVER) if kind == "directory" else ({},):
        said = refused(colleague, *options, **environment)
        assert NOT_HERE in said
        assert "`dvc pull score@embedding`" in said
        assert ("from the remote 'shared'" in said) != bool(environment)
        assert ("DECANT_TEACHER=never forbids it" in said) == bool(environment)
    local.write_text(before)
    assert refused(colleague, "--pull") == ""


def test_missing_scores_and_missing_credentials_never_fall_through_to_the_teacher(share: Share) -> None:
    owner, colleague, remote = share("ssh")
    lay_sets(owner, colleague)
    (colleague.folder / ".dvc/config.local").unlink()
    said = colleague.dvc("repro", "--pull", "score@embedding", code=255)
    assert "Permission denied" in said
    assert not ran(said)
    assert NOT_HERE in refused(colleague)
    remote.let_in(colleague)
    for name in remote.names():
        remote.write(name, None)
    assert NOT_HERE in refused(colleague, "--pull")
    owner.dvc("push", "score@embedding")
    assert refused(colleague, "--pull") == ""
