"""Score pairs with a teacher behind HTTP: vLLM, text-embeddings-inference, or any OpenAI-compatible embeddings.

Where texts are sent, the server's tokenizer adds the special tokens; documents are cut here, before. docs/teachers.md
lists the calls.
"""

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from decant.errors import DecantError
from decant.models.scorer import Scores
from decant.score.engines.base import Forward, Refused
from decant.score.prompts import Prompt
from decant.score.settings import Server, Teacher

RETRIED = (429, 500, 502, 503, 504)
REFUSED = (400, 413, 422, 500)  # may be for what was sent: a text that is too long or that the model chokes on
BACKOFF = 0.5  # seconds before the second retry, doubled for each further one; a Retry-After of the server goes first


def version(teacher: Teacher) -> str:
    """What the manifest says of the engine: the server's address."""
    assert teacher.server is not None
    return f"server at {teacher.server.url}"


def load(teacher: Teacher, folder: Path) -> Forward:
    """The engine for any kind of teacher that the server's API can score.

    Raises:
        DecantError: the environment lacks the key.
    """
    del folder
    assert teacher.server is not None
    client = Client(teacher.server)
    by_query = teacher.kind == "cross_encoder"  # a call has one query

    def ask(batch: list[Prompt]) -> Scores:
        path, content, key = _call(teacher.kind, client.server.api, batch)
        try:
            answer = client.post(path, content)
            items = sorted(answer if path == "/rerank" else answer["data"], key=lambda item: int(item["index"]))
            results = [item[key][0] if key == "probs" else item[key] for item in items]
            part: Scores = np.array(results, dtype=np.float32)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise client.fault(
                f"it answered something else than it should ({type(error).__name__}: {error})",
                f"look whether teacher.server.api is right (now {client.server.api})",
            ) from error
        if len(part) != len(batch):
            raise client.fault(f"{len(part)} results came for {len(batch)} texts", "look at the server's log")
        return part

    def forward(prompts: Sequence[Prompt]) -> Scores:
        batches: list[list[Prompt]] = []
        size = client.server.batch_size
        for _, group in itertools.groupby(prompts, lambda prompt: prompt.texts[0] if by_query else None):
            members = list(group)
            batches += [members[start : start + size] for start in range(0, len(members), size)]
        with ThreadPoolExecutor(client.server.concurrency) as executor:
            try:
                parts = list(executor.map(ask, batches))
            except BaseException:
                executor.shutdown(cancel_futures=True)
                raise
        results: Scores = np.concatenate(parts)
        if teacher.kind == "bi_encoder":
            results /= np.linalg.norm(results, axis=1, keepdims=True)
        return results

    return forward


def _call(kind: str, api: str, batch: Sequence[Prompt]) -> tuple[str, dict[str, Any], str]:
    """What a server is asked for a batch: the path, the content, and the key of each result in the answer."""
    if kind == "bi_encoder":
        texts = [prompt.ids if api == "vllm" else prompt.texts[0] for prompt in batch]
        return "/v1/embeddings", {"input": texts, "encoding_format": "float"}, "embedding"
    if kind == "causal_lm":
        return "/classify", {"input": [prompt.ids for prompt in batch], "use_activation": False}, "probs"
    query, documents = batch[0].texts[0], [prompt.texts[1] for prompt in batch]
    if api == "vllm":
        return "/score", {"text_1": query, "text_2": documents, "use_activation": False}, "score"
    return "/rerank", {"query": query, "texts": documents, "raw_scores": True}, "score"


class Client:
    """Posts JSON, with retries, back-off and a key from the environment; threads may share it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = server.url.rstrip("/").removesuffix("/v1")
        self.session = requests.Session()
        retry = Retry(
            total=server.retries,
            backoff_factor=BACKOFF,
            status_forcelist=RETRIED,
            allowed_methods=None,  # scoring twice changes nothing, so POST may be repeated
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=server.concurrency))
        if server.key is not None:
            key = os.environ.get(server.key)
            if not key:
                raise self.fault(
                    f"teacher.server.key names the variable {server.key}, which is not set",
                    f"`export {server.key}=…`, or set `key` to null for a server without one",
                )
            self.session.headers["Authorization"] = f"Bearer {key}"

    def fault(self, problem: str, remedy: str, kind: type[DecantError] = DecantError) -> DecantError:
        """An error that names the server."""
        return kind(f"the teacher's server at {self.url}: {problem}", remedy)

    def post(self, path: str, content: dict[str, Any]) -> Any:
        """The parsed answer; a DecantError where there is none, the server refuses the request, or it is no JSON."""
        named = {"model": self.server.name} if self.server.name is not None else {}
        try:
            answer = self.session.post(f"{self.url}{path}", json=named | content, timeout=self.server.timeout)
        except requests.RequestException as error:
            raise self.fault(
                f"no answer after {self.server.retries} retries ({error})",
                "look whether it runs and is not overloaded; correct teacher.server.url, or raise `timeout`, or lower "
                "`concurrency`",
            ) from error
        if not answer.ok:
            kind = Refused if answer.status_code in REFUSED else DecantError
            raise self.fault(
                f"{path} answered {answer.status_code}: {answer.text[:500]}", self._remedy(answer.status_code), kind
            )
        try:
            return answer.json()
        except requests.JSONDecodeError as error:
            raise self.fault(
                f"{path} answered something that is not JSON: {answer.text[:80]!r}", "correct teacher.server.url"
            ) from error

    def _remedy(self, status: int) -> str:
        if status in (401, 403):
            return f"set teacher.server.key to the environment variable with the key (now {self.server.key})"
        if status == 404:
            return "correct teacher.server.url, `api` (openai, vllm or tei) and `name` (of the served model)"
        if status in (413, 422):
            return "lower teacher.server.batch_size, the texts of a request, or raise the server's own limits"
        if status in RETRIED:
            return f"it failed {self.server.retries + 1} times: look at its log, and lower `concurrency`"
        return "look whether it serves the model that params.yaml names, with as high a maximum length"
