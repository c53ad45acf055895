"""What both hubs' downloads share, and ModelScope's own words, against a real server on the loopback."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from decant.data.sets import read_split
from tests.support.hub_client import COMMIT, Client, Reference
from tests.support.hub_server import Hub, Repository
from tests.support.processes import at_once
from tests.support.project import ROOT

OTHER_COMMIT = "f" * 40
WEIGHTS = random.Random(0).randbytes(30_000_000)  # the hubs' clients write to disk by about 10 MB
MODEL = {"1_Pooling/config.json": b'{"pooling_mode": "mean"}', "config.json": b"{}", "model.safetensors": b"weights"}


def lines(split: str) -> bytes:
    """Twenty rows that share no text with those of another split."""
    rows = [
        {
            "query": f"{split} query {number}",
            "positive": [f"{split} yes {number}"],
            "negative": [f"{split} no {number}"],
        }
        for number in range(20)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


REPOSITORIES = {
    ("model", "them/model"): Repository(COMMIT, {**MODEL, "pytorch_model.bin": b"pickle", "model.py": b"code"}),
    ("model", "them/large"): Repository(COMMIT, {"config.json": b"{}", "model.safetensors": WEIGHTS}),
    ("model", "them/gated"): Repository(COMMIT, MODEL, gated=True),
    ("dataset", "them/rows"): Repository(
        COMMIT, {"README.md": b"# Rows\n", "validation.jsonl": lines("validation"), "test.jsonl": lines("test")}
    ),
    ("dataset", "them/archived"): Repository(COMMIT, {"rows.zip": b"zip"}),
}
# ModelScope's client tries less often, so that a test of a fault is over soon.
HASTY = {"MODELSCOPE_DOWNLOAD_MAX_RETRIES": "0", "MODELSCOPE_REPO_TREE_PAGE_MAX_ATTEMPTS": "1"}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(REPOSITORIES).serve() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.mark.parametrize("scheme", ["hub", "modelscope"])
def test_a_download_that_is_cut_off_is_resumed(hub: Hub, home: Path, scheme: str) -> None:
    hub.cuts = {"model.safetensors": 1}
    (outcome,) = Client(home, hub.endpoint).resolve(Reference(f"{scheme}:them/large"))
    assert outcome.folder, outcome
    assert (outcome.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert len(hub.ranges) == 1, "the rest was not asked for, or the file began anew"


def given_up_and_run_again(hub: Hub, home: Path, scheme: str) -> Path:
    client = Client(home, hub.endpoint)
    hub.cuts = {"model.safetensors": 1_000}
    (failed,) = client.resolve(Reference(f"{scheme}:them/large"), **HASTY)
    assert not failed.folder
    assert "run again" in failed.remedy, failed
    hub.cuts, hub.ranges, hub.requests = {}, [], []
    (outcome,) = client.resolve(Reference(f"{scheme}:them/large"))
    assert outcome.folder, outcome
    return outcome.folder


def test_a_run_that_gave_up_is_resumed_by_the_next(hub: Hub, home: Path) -> None:
    folder = given_up_and_run_again(hub, home, "modelscope")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    (asked,) = hub.ranges
    assert int(asked.removeprefix("model.safetensors bytes=").removesuffix("-")) >= 10_000_000


def test_a_run_that_gave_up_leaves_the_next_only_the_file_that_was_cut_off(hub: Hub, home: Path) -> None:
    # The hub's client keeps no part of a file for the next run, lest two runs write to one.
    folder = given_up_and_run_again(hub, home, "hub")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert [request.rpartition("/")[2] for request in hub.requests if "GET /them" in request] == ["model.safetensors"]


def test_of_a_modelscope_model_only_the_allowed_files_come_in_silence(hub: Hub, home: Path) -> None:
    client = Client(home, hub.endpoint)
    (outcome,), stderr = client.run(Reference("modelscope:them/model"))
    assert outcome.folder, outcome
    files = [path for path in outcome.folder.rglob("*") if path.is_file()]
    assert {str(path.relative_to(outcome.folder)): path.read_bytes() for path in files} == MODEL
    assert not stderr
    assert all(COMMIT in request for request in hub.requests if "them/model" in request)
    (outcome,) = client.resolve(Reference("modelscope:them/model", code=True))
    assert outcome.folder, outcome
    assert (outcome.folder / "model.py").read_bytes() == b"code"
    assert not [request for request in hub.requests if request.endswith(".bin")]


def test_what_modelscope_gave_once_is_found_again_without_it(home: Path, tmp_path: Path) -> None:
    model = Reference("modelscope:them/model")
    with Hub(REPOSITORIES).serve() as hub:
        client = Client(home, hub.endpoint)
        (first,) = client.resolve(model)
    assert first.folder, first
    asked = len(hub.requests)
    assert client.resolve(model) == [first]
    assert len(hub.requests) == asked
    (first.folder / "1_Pooling/config.json").unlink()
    (outcome,) = client.resolve(model, **HASTY)
    assert "ModelScope cannot be reached" in outcome.fault, "half of a model was taken for the whole"


def test_two_processes_download_a_modelscope_model_once(hub: Hub, home: Path) -> None:
    imports = "import modelscope_hub\nfrom decant.sources.references import resolve"
    script = f"print(resolve('modelscope:them/large', '{COMMIT}'))"
    first, second = at_once(imports, script, Client(home, hub.endpoint).variables(), 2)
    assert first == second
    assert (Path(first[0]) / "model.safetensors").read_bytes() == WEIGHTS
    assert len([request for request in hub.requests if request.endswith("/model.safetensors")]) == 1


def test_files_of_another_commit_are_not_mixed_in(hub: Hub, home: Path) -> None:
    # Where releases of the client before 1.38 kept every commit of a repository.
    older = home / "modelscope/models/them/model"
    older.mkdir(parents=True)
    (older / "tokenizer.json").write_text("of another commit")
    (outcome,) = Client(home, hub.endpoint).resolve(Reference("modelscope:them/model"))
    assert outcome.folder, outcome
    assert not (outcome.folder / "tokenizer.json").exists()


def test_a_modelscope_set_is_fetched_with_a_carved_dev_split(hub: Hub, home: Path, tmp_path: Path) -> None:
    (outcome,) = Client(home, hub.endpoint).resolve(Reference("modelscope:them/rows", COMMIT, tmp_path / "set"))
    assert outcome.folder, outcome
    train, dev, test = (read_split(tmp_path / f"set/{name}.parquet").rows for name in ("train", "dev", "test"))
    assert (len(dev), len(test)) == (6, 20)
    assert sorted(row.query for row in train + dev) == sorted(f"validation query {number}" for number in range(20))


A_SET = Path("set")
# What is asked for: the message, and the remedy.
FAULTS = {
    Reference("modelscope:them/nothing"): ("ModelScope has no such model", "correct the name"),
    Reference("modelscope:them/model", COMMIT, A_SET): ("ModelScope has no such dataset", "correct the name"),
    Reference("modelscope:them/model", OTHER_COMMIT): ("no revision", "numbers its commits differently"),
    Reference("modelscope:them/gated"): ("does not let you see", "MODELSCOPE_API_TOKEN"),
    Reference("modelscope:them/archived", COMMIT, A_SET): ("the repository holds no data file", ".jsonl"),
    Reference("modelscope:them/model/more"): ("not a repository's name", "modelscope:owner/name"),
    Reference("modelscope:them"): ("not a repository's name", "modelscope:owner/name"),
    Reference("modelscope:them/unpinned", "master"): ("not a pinned commit", "40 hexadecimal digits"),
}


def test_what_modelscope_does_not_have_is_one_message(hub: Hub, home: Path, tmp_path: Path) -> None:
    references = [Reference(one.source, one.revision, one.folder and tmp_path / one.folder) for one in FAULTS]
    outcomes = Client(home, hub.endpoint).resolve(*references, **HASTY)
    for outcome, (message, remedy) in zip(outcomes, FAULTS.values(), strict=True):
        assert not outcome.traceback, outcome.traceback
        assert message in outcome.fault
        assert remedy in outcome.remedy
        assert outcome.fault.count("→") == 1
    assert not [request for request in hub.requests if "unpinned" in request]
    assert not (tmp_path / A_SET).exists()


@pytest.mark.parametrize("page", [b"<html>Log in to this network</html>", None], ids=["page", "gone"])
def test_a_modelscope_that_cannot_be_reached_is_one_message(home: Path, page: bytes | None) -> None:
    with Hub({}, page=page).serve() as hub:
        client = Client(home, hub.endpoint)
        outcomes = client.resolve(Reference("modelscope:them/model"), **HASTY) if page else []
    if page is None:  # the server is gone
        outcomes = client.resolve(Reference("modelscope:them/model"), **HASTY)
    (outcome,) = outcomes
    assert not outcome.traceback, outcome.traceback
    assert f"ModelScope cannot be reached and revision {COMMIT[:12]} is not in the local cache" in outcome.fault
    assert "MODELSCOPE_ENDPOINT" in outcome.remedy


def test_without_its_client_the_message_says_what_to_install() -> None:
    script = (
        "import sys\n"
        "sys.modules['modelscope_hub'] = None\n"
        "from decant.errors import DecantError\n"
        "from decant.sources.references import resolve\n"
        "try:\n"
        f"    resolve('modelscope:owner/name', '{COMMIT}')\n"
        "except DecantError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("modelscope:owner/name: ModelScope's client is not installed")
    assert "pip install '.[modelscope]'" in done.stdout
