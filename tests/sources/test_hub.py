"""`hub:` references, resolved against a real server on the loopback."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from decant.data.sets import read_split
from decant.files import read_json
from tests.support.hub_client import COMMIT, Client, Outcome, Reference
from tests.support.hub_server import Hub, Repository

OTHER_COMMIT = "f" * 40

MODEL = {
    "1_Pooling/config.json": b'{"pooling_mode": "mean"}',
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "sentencepiece.bpe.model": b"pieces",
    "vocab.txt": b"words",
}


def mteb_rows(split: str, count: int) -> list[dict[str, Any]]:
    """Rows as the MTEB reranking sets have them; no two share a text."""
    return [
        {
            "query": f"{split} query {number}",
            "positive": [f"{split} positive {number}"],
            "negative": [f"{split} negative {number}", f"{split} other {number}"],
        }
        for number in range(count)
    ]


def jsonl_gz(rows: list[dict[str, Any]]) -> bytes:
    return gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())


REPOSITORIES = {
    ("model", "them/model"): Repository(COMMIT, {**MODEL, "pytorch_model.bin": b"pickle", "model.py": b"code"}),
    ("model", "them/pickled"): Repository(COMMIT, {"config.json": b"{}", "pytorch_model.bin": b"pickle"}),
    ("model", "them/only-pickled"): Repository(COMMIT, {"pytorch_model.bin": b"pickle"}),
    ("model", "them/gated"): Repository(COMMIT, MODEL, gated=True),
    ("dataset", "them/reranking"): Repository(
        COMMIT,
        {
            ".gitattributes": b"*.gz filter=lfs\n",
            "README.md": b"---\nlanguage:\n- en\n---\n",
            "test.jsonl.gz": jsonl_gz(mteb_rows("test", 10)),
            "validation.jsonl.gz": jsonl_gz(mteb_rows("validation", 30)),
        },
    ),
    ("dataset", "them/archived"): Repository(COMMIT, {"rows.zip": b"zip"}),
    ("dataset", "them/described"): Repository(COMMIT, {"README.md": b"# Rows will follow\n"}),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "hub home"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(REPOSITORIES).serve() as server:
        yield server


def requests_for(hub: Hub, name: str) -> list[str]:
    return [request for request in hub.requests if name in request]


def test_a_set_in_the_old_mteb_layout_is_fetched_at_its_commit_with_a_carved_dev_split(
    hub: Hub, home: Path, tmp_path: Path
) -> None:
    (outcome,) = Client(home, hub.endpoint).resolve(Reference("hub:them/reranking", COMMIT, tmp_path / "set"))
    assert outcome.folder, outcome
    train, dev, test = (read_split(tmp_path / f"set/{name}.parquet") for name in ("train", "dev", "test"))
    assert len(dev.rows) == 6
    carved = sorted(row.query for row in train.rows + dev.rows)
    assert carved == sorted(f"validation query {number}" for number in range(30))
    assert [{"query": row.query, "positive": row.positive, "negative": row.negative} for row in test.rows] == mteb_rows(
        "test", 10
    )
    assert test.task == "find it"
    card = read_json(tmp_path / "set/card.json")
    assert (card["source"], card["revision"]) == ("hub:them/reranking", COMMIT)
    asked = requests_for(hub, "them/reranking")
    assert f"GET /datasets/them/reranking/resolve/{COMMIT}/test.jsonl.gz" in asked
    assert all(COMMIT in request for request in asked)
    assert not any(".gitattributes" in request for request in asked)


def test_of_a_model_only_the_allowed_files_come_and_no_progress_bar_in_ci(hub: Hub, home: Path) -> None:
    (outcome,), stderr = Client(home, hub.endpoint).run(Reference("hub:them/model"))
    assert outcome.folder, outcome
    files = [path for path in outcome.folder.rglob("*") if path.is_file()]
    assert {str(path.relative_to(outcome.folder)): path.read_bytes() for path in files} == MODEL
    assert not [request for request in hub.requests if request.endswith((".bin", ".py"))]
    assert "%" not in stderr


def test_python_files_come_where_remote_code_is_trusted_and_pickles_do_not(hub: Hub, home: Path) -> None:
    (outcome,) = Client(home, hub.endpoint).resolve(Reference("hub:them/model", code=True))
    assert outcome.folder, outcome
    assert (outcome.folder / "model.py").read_bytes() == b"code"
    assert not (outcome.folder / "pytorch_model.bin").exists()


def test_what_was_downloaded_is_found_again_without_the_hub(home: Path, tmp_path: Path) -> None:
    model = Reference("hub:them/model")
    with Hub(REPOSITORIES).serve() as hub:
        client = Client(home, hub.endpoint)
        first, fetched = client.resolve(model, Reference("hub:them/reranking", COMMIT, tmp_path / "one"))
    assert first.folder, first
    assert fetched.folder, fetched
    asked = len(hub.requests)
    # The server is gone: the client is told so, or finds it out.
    again, fetched = client.resolve(
        model, Reference("hub:them/reranking", COMMIT, tmp_path / "two"), HF_HUB_OFFLINE="1"
    )
    assert again == first == client.resolve(model)[0]
    assert fetched.folder, fetched
    for name in ("train.parquet", "dev.parquet", "test.parquet", "card.json"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert len(hub.requests) == asked


def test_a_half_downloaded_model_is_not_taken_for_the_whole(home: Path) -> None:
    with Hub(REPOSITORIES).serve() as hub:
        client = Client(home, hub.endpoint)
        assert client.resolve(Reference("hub:them/model"))[0].folder
    for path in home.rglob("vocab.txt"):
        path.unlink()
    (outcome,) = client.resolve(Reference("hub:them/model"), HF_HUB_OFFLINE="1")
    assert "the hub cannot be reached" in outcome.fault


A_SET = Path("set")
# What is asked for: the message, and the remedy.
FAULTS = {
    Reference("hub:them/nothing"): ("the hub has no such model", "correct the name, or set HF_TOKEN"),
    Reference("hub:them/nothing", COMMIT, A_SET): ("the hub has no such dataset", "correct the name, or set HF_TOKEN"),
    # the right name of the wrong kind
    Reference("hub:them/model", COMMIT, A_SET): ("the hub has no such dataset", "correct the name, or set HF_TOKEN"),
    Reference("hub:them/model", OTHER_COMMIT): (f"there is no revision {OTHER_COMMIT}", "correct `revision`"),
    Reference("hub:them/reranking", OTHER_COMMIT, A_SET): ("there is no revision", "correct `revision`"),
    Reference("hub:them/gated"): ("the repository is gated", "accept its terms and set HF_TOKEN"),
    # with a config.json beside the pickle, and without
    Reference("hub:them/pickled"): ("holds no safetensors", "pickled weights are never loaded"),
    Reference("hub:them/only-pickled"): ("holds no safetensors", "pickled weights are never loaded"),
    # no file that could be read, and a README.md only
    Reference("hub:them/archived", COMMIT, A_SET): ("hub:them/archived", ".jsonl"),
    Reference("hub:them/described", COMMIT, A_SET): (
        "the split 'validation' cannot be read",
        "correct the split's name",
    ),
    # not owner/name
    Reference("hub:them/model/tokenizer"): ("hub:them/model/tokenizer", "hub:owner/name"),
    # revisions that are no commit
    Reference("hub:them/unpinned", "main"): ("the revision is 'main', not a pinned commit", "40 hexadecimal digits"),
    Reference("hub:them/unpinned", COMMIT[:12]): ("not a pinned commit", "40 hexadecimal digits"),
    Reference("hub:them/unpinned", COMMIT + "0"): ("not a pinned commit", "40 hexadecimal digits"),
    Reference("hub:them/unpinned", "main", A_SET): ("not a pinned commit", "40 hexadecimal digits"),
}


@dataclass(frozen=True)
class Faulty:
    """What came of asking for all of `FAULTS`, and what the hub saw of it."""

    outcomes: dict[Reference, Outcome]
    requests: list[str]
    folder: Path


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Faulty:
    folder = tmp_path_factory.mktemp("faulty")
    references = [Reference(one.source, one.revision, one.folder and folder / one.folder) for one in FAULTS]
    with Hub(REPOSITORIES).serve() as hub:
        outcomes = Client(folder / "home", hub.endpoint).resolve(*references)
    return Faulty(dict(zip(FAULTS, outcomes, strict=True)), hub.requests, folder)


@pytest.mark.parametrize("reference", FAULTS, ids=str)
def test_what_the_hub_does_not_have_is_one_message(faulty: Faulty, reference: Reference) -> None:
    outcome = faulty.outcomes[reference]
    message, remedy = FAULTS[reference]
    assert not outcome.traceback, outcome.traceback
    assert message in outcome.fault
    assert remedy in outcome.remedy
    assert outcome.fault.count("→") == 1


def test_a_fault_leaves_nothing_behind_and_asks_for_nothing_that_it_could_not_use(faulty: Faulty) -> None:
    assert not (faulty.folder / A_SET).exists()
    assert faulty.requests
    assert not [request for request in faulty.requests if "unpinned" in request or request.endswith(".bin")]
    assert not list(faulty.folder.rglob("*.bin"))


@pytest.mark.parametrize(
    ("endpoint", "environment"),
    [
        ("http://127.0.0.1:9", {"HF_HUB_OFFLINE": "1"}),  # offline, and never downloaded
        ("https://hub.invalid", {"HTTPS_PROXY": "{hub}"}),  # a proxy that lets nobody through: it knows no CONNECT
        ("hub.invalid", {}),  # an HF_ENDPOINT without its scheme
        ("{hub}/login", {}),  # a page where the hub should be
    ],
    ids=["offline", "proxy", "scheme", "page"],
)
def test_a_hub_that_cannot_be_reached_is_one_message(home: Path, endpoint: str, environment: dict[str, str]) -> None:
    with Hub({}, page=b"<html>Log in to this network</html>").serve() as hub:
        client = Client(home, endpoint.replace("{hub}", hub.endpoint))
        variables = {name: value.replace("{hub}", hub.endpoint) for name, value in environment.items()}
        (outcome,) = client.resolve(Reference("hub:them/model"), **variables)
    assert not outcome.traceback, outcome.traceback
    assert f"the hub cannot be reached and revision {COMMIT[:12]} is not in the local cache" in outcome.fault
    assert "HF_ENDPOINT" in outcome.remedy
    assert outcome.fault.count("→") == 1


@pytest.mark.slow  # the hub's client tries for 23 seconds
def test_a_server_that_is_gone_is_one_message(home: Path) -> None:
    with Hub({}).serve() as hub:
        client = Client(home, hub.endpoint)
    (outcome,) = client.resolve(Reference("hub:them/model"))
    assert not outcome.traceback, outcome.traceback
    assert "the hub cannot be reached" in outcome.fault
    assert "run again" in outcome.remedy
