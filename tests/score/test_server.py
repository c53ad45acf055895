"""The engine `server` against loopback servers that fail as real ones do; for `vllm serve` see test_vllm_server."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import decant.score.engines.server
from decant.errors import DecantError
from decant.models import bi_encoder, cross_encoder
from decant.score.teacher import TeacherScorer
from decant.sources.references import resolve
from tests.support import tiny_models as tiny

TEXTS = ["Plantar wart", "a", "acute fever " * 300, "急性心肌梗塞", "def f(x):\n\treturn x", "knee", "ear"]
QUERIES = ["wart", "what is fever?", "急性"]
PAIRS = [query for query in QUERIES for _ in TEXTS], TEXTS * len(QUERIES)


@dataclass
class Served:
    """A server with real models behind text-embeddings-inference's calls, and what it shall do instead of answering.

    `failures` are statuses that are given out first, one a request; a status of 0 closes the connection.
    """

    folders: dict[str, Path]
    failures: list[int] = field(default_factory=list)
    answer: Any = None
    delay: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.cross = cross_encoder.load(self.folders["cross_encoder"])
        self.bi = bi_encoder.load(self.folders["bi_encoder"])

    def reply(self, path: str, content: dict[str, Any]) -> Any:
        if path == "/rerank":
            scores = self.cross.predict([(content["query"], text) for text in content["texts"]])
            order = np.argsort(-scores)  # the best first, as the server does
            return [{"index": int(i), "score": float(scores[i])} for i in order]
        vectors = self.bi.encode(content["input"])
        return {"data": [{"index": i, "embedding": v.tolist()} for i, v in reversed(list(enumerate(vectors)))]}

    def scorer(self, kind: str, **more: Any) -> TeacherScorer:
        server = {
            "url": self.url,
            "api": "tei",
            "batch_size": 2,
            "concurrency": 4,
            "retries": 3,
            "timeout": 30.0,
            **more,
        }
        return tiny.scorer(kind, "server", self.folders[kind], 100, server=server)

    def plain(self, kind: str) -> TeacherScorer:
        return tiny.scorer(kind, "sentence-transformers", self.folders[kind], 100)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    cross = tiny.minilm_cross_encoder(tmp_path_factory.mktemp("models") / "cross")
    return {"cross_encoder": cross, "bi_encoder": resolve(tiny.MINILM)}


@pytest.fixture
def served(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(decant.score.engines.server, "BACKOFF", 0.01)
    serving = Served(folders)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with serving.lock:
                serving.requests.append({"path": self.path, "key": self.headers.get("Authorization"), **content})
                serving.at_once += 1
                serving.most_at_once = max(serving.most_at_once, serving.at_once)
                failure = serving.failures.pop(0) if serving.failures else 200
                time.sleep(serving.delay)
                reply = serving.answer
                if failure == 200 and reply is None:
                    reply = serving.reply(self.path, content)
            if serving.delay:
                time.sleep(serving.delay)
            with serving.lock:
                serving.at_once -= 1
            if failure == 0:
                self.connection.close()
                return
            body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(failure)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield serving
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["cross_encoder", "bi_encoder"])
def test_texts_reach_the_server_cut_and_come_back_in_order(kind: str, served: Served) -> None:
    scores = served.scorer(kind).score(*PAIRS)
    assert np.abs(scores - served.plain(kind).score(*PAIRS)).max() < 1e-4
    assert {request["path"] for request in served.requests} == {
        "/rerank" if kind == "cross_encoder" else "/v1/embeddings"
    }
    sent = [text for request in served.requests for text in request.get("texts", request.get("input"))]
    assert max(len(text) for text in sent) < 1000  # of a document with 3,600 characters
    if kind == "cross_encoder":
        assert all(request["raw_scores"] is True for request in served.requests)


def test_an_address_may_end_as_openai_clients_write_it(served: Served) -> None:
    served.scorer("bi_encoder", url=f"{served.url}/v1/", name="a-name").score(["a"], ["b"])
    assert served.requests[0]["path"] == "/v1/embeddings"
    assert served.requests[0]["model"] == "a-name"


def test_what_passes_is_tried_again(served: Served) -> None:
    served.failures = [503, 429, 0, 200, 500, 502]
    scores = served.scorer("cross_encoder", concurrency=1).score(*PAIRS)
    assert np.abs(scores - served.plain("cross_encoder").score(*PAIRS)).max() < 1e-4
    assert len(served.requests) == 12 + 5  # 12 batches of at most 2 pairs of one query, and 5 failures


def test_what_does_not_pass_is_told(served: Served) -> None:
    served.failures = [503] * 99
    served.answer = {"error": "the model is overloaded"}
    with pytest.raises(DecantError, match=r"answered 503: .*the model is overloaded") as caught:
        served.scorer("cross_encoder", concurrency=1, retries=2).score(["a"], ["b"])
    assert len(served.requests) == 3
    assert "it failed 3 times" in caught.value.remedy


def test_a_fault_of_the_request_is_not_tried_again(served: Served) -> None:
    served.failures = [413] * 99
    with pytest.raises(DecantError, match="answered 413"):
        served.scorer("cross_encoder", concurrency=1).score(["a"], ["b"])
    assert len(served.requests) == 2  # the pair, and a plain one to see whether the text is at fault


def test_no_server_is_told(served: Served) -> None:
    with pytest.raises(DecantError, match=r"127\.0\.0\.1:1: no answer after 1 retries") as caught:
        served.scorer("cross_encoder", url="http://127.0.0.1:1", retries=1).score(["a"], ["b"])
    assert "correct teacher.server.url" in caught.value.remedy


def test_a_silent_server_is_given_up(served: Served) -> None:
    served.delay = 1.0
    with pytest.raises(DecantError, match="no answer after 0 retries"):
        served.scorer("cross_encoder", timeout=0.2, retries=0).score(["a"], ["b"])


def test_no_more_requests_at_once_than_asked(served: Served) -> None:
    served.answer = [{"index": 0, "score": 1.0}]
    served.delay = 0.05
    queries = [f"query {number}" for number in range(12)]
    served.scorer("cross_encoder", concurrency=3).score(queries, ["text"] * 12)
    assert served.most_at_once == 3


def test_the_key_comes_from_the_environment(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = served.scorer("bi_encoder", key="A_KEY")
    monkeypatch.delenv("A_KEY", raising=False)
    with pytest.raises(DecantError, match="the variable A_KEY, which is not set"):
        scorer.score(["a"], ["b"])
    monkeypatch.setenv("A_KEY", "secret")
    scorer.score(["a"], ["b"])
    assert served.requests[0]["key"] == "Bearer secret"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<html>log in</html>", "not JSON"),
        ([], "0 results came for 1 texts"),
        ({"unexpected": 1}, "something else than it should"),
        ([{"index": 0, "score": "high"}], "something else than it should"),
        ([{"index": 0}], "something else than it should"),
    ],
)
def test_answers_that_are_none(answer: Any, message: str, served: Served) -> None:
    served.answer = answer
    with pytest.raises(DecantError, match=message):
        served.scorer("cross_encoder").score(["a"], ["b"])
