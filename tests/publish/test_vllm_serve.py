"""A student behind `vllm serve`, as the published card and docs/publishing.md have it, answers as it does itself.

Run by `make test-vllm`, which makes the environment that it needs.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.support import students
from tests.support.vllm_server import KEY, Served, serve

pytestmark = pytest.mark.vllm

QUERY = "the colour of a plum"
DOCUMENTS = ["a plum is red", "a melon is heavy", "what a plum weighs", "急性"]


def answer(served: Served, path: str, **content: Any) -> dict[str, Any]:
    given = {"model": str(served.folder), **content}
    answered = requests.post(f"{served.url}{path}", json=given, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)
    assert answered.ok, answered.text
    found: dict[str, Any] = answered.json()
    return found


@pytest.mark.slow
def test_an_embedding_student(tmp_path: Path) -> None:
    student = students.bi_encoder()
    student.save(str(tmp_path / "student"))
    with serve(tmp_path / "student", tmp_path / "log") as served:
        found = answer(served, "/v1/embeddings", input=DOCUMENTS)
    embeddings = np.array([each["embedding"] for each in found["data"]])
    assert np.abs(embeddings - student.encode(DOCUMENTS, normalize_embeddings=True)).max() < 1e-5


def test_a_reranker_student(tmp_path: Path) -> None:
    student = students.cross_encoder()
    student.save(str(tmp_path / "student"))
    with serve(tmp_path / "student", tmp_path / "log") as served:
        found = answer(served, "/rerank", query=QUERY, documents=DOCUMENTS)
    logits = student.predict([(QUERY, document) for document in DOCUMENTS])
    scores = {each["index"]: each["relevance_score"] for each in found["results"]}
    expected = 1 / (1 + np.exp(-logits))
    assert np.abs(np.array([scores[place] for place in range(len(DOCUMENTS))]) - expected).max() < 1e-5
