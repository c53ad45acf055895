"""A teacher behind HTTP: real `vllm serve` processes of tiny models, asked as a user's params would ask them.

Run by `make test-vllm`, which makes the environment that they need.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decant.data.scores import read_scores
from decant.errors import DecantError
from tests.support import tiny_models as tiny
from tests.support.planted_project import make_project, stage_anew
from tests.support.vllm_server import KEY, Served, serve

pytestmark = pytest.mark.vllm

TASK = "Given a medical term, retrieve its diagnosis"
TEXTS = ["Plantar wart", "a", "acute fever " * 300, "急性心肌梗塞", "👩‍⚕️🩺 fever", "def f(x):\n\treturn x"]
QUERIES = ["wart", "what is fever?", "急性"]
PAIRS = [query for query in QUERIES for _ in TEXTS], TEXTS * len(QUERIES)
OVERRIDES = (
    '{"architectures": ["Qwen3ForSequenceClassification"], "classifier_from_token": ["no", "yes"], '
    '"is_original_qwen3_reranker": true}'
)


@pytest.fixture(scope="module")
def embedding(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with serve(
        tiny.qwen3(folder / "embedding", embedding=True), folder / "log", "--served-model-name", "tiny"
    ) as served:
        yield served


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    model = tiny.qwen3(folder / "reranker", embedding=False)
    with serve(model, folder / "log", "--hf-overrides", OVERRIDES) as served:
        yield served


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with serve(tiny.minilm_cross_encoder(folder / "cross"), folder / "log") as served:
        yield served


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECANT_TEST_KEY", KEY)


@pytest.mark.parametrize("api", ["vllm", "openai"])
def test_embeddings(api: str, embedding: Served) -> None:
    """Token ids, and texts that the server reads with its own tokenizer, the longest one cut before it is sent."""
    served = embedding.scorer("bi_encoder", api=api, name="tiny").score(*PAIRS, TASK)
    assert np.abs(served - embedding.plain("bi_encoder").score(*PAIRS, TASK)).max() < 1e-5


@pytest.mark.slow
def test_log_odds(reranker: Served) -> None:
    served = reranker.scorer("causal_lm").score(*PAIRS, TASK)
    assert np.abs(served - reranker.plain("causal_lm").score(*PAIRS, TASK)).max() < 1e-4
    assert served.min() < -1  # raw


@pytest.mark.slow
def test_logits_of_a_cross_encoder(cross_encoder: Served) -> None:
    served = cross_encoder.scorer("cross_encoder").score(*PAIRS)
    assert np.abs(served - cross_encoder.plain("cross_encoder").score(*PAIRS)).max() < 1e-4
    assert served.min() < -1


def test_the_stage_scores_through_a_server(tmp_path: Path) -> None:
    """No weights are needed on the machine that asks, only the tokenizer."""
    project = make_project(tmp_path / "p", "causal_lm", "transformers")
    stage_anew(project, "score", "reranker")
    here = read_scores(project.folder / "data/scores/reranker", "train")["score"].to_numpy()
    weights = (project.folder / "teacher/model.safetensors").rename(tmp_path / "model.safetensors")
    model = tmp_path / "served"
    shutil.copytree(project.folder / "teacher", model)
    shutil.copy(weights, model)
    with serve(model, tmp_path / "log", "--hf-overrides", OVERRIDES) as served:

        def through_the_server(params: Any) -> None:
            server = {"url": served.url, "api": "vllm", "key": "DECANT_TEST_KEY"}
            params["reranker"]["teacher"].update(engine="server", server=server)

        project.edit_params(through_the_server)
        said = stage_anew(project, "score", "reranker")
    assert "the weights are not on this machine" in said
    scores = read_scores(project.folder / "data/scores/reranker", "train")["score"].to_numpy()
    assert np.abs(scores - here).max() < 1e-4
    manifest = (project.folder / "data/scores/reranker/manifest.json").read_text()
    assert f"server at {served.url}" in manifest
    assert KEY not in manifest


def test_a_wrong_key_is_told(embedding: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DECANT_TEST_KEY", "wrong")
    with pytest.raises(DecantError, match="answered 401") as caught:
        embedding.scorer("bi_encoder").score(["a"], ["b"])
    assert "teacher.server.key" in caught.value.remedy
    assert "wrong" not in str(caught.value)


def test_a_wrong_name_is_told(embedding: Served) -> None:
    with pytest.raises(DecantError, match="answered 404") as caught:
        embedding.scorer("bi_encoder", name="another").score(["a"], ["b"])
    assert "`name`" in caught.value.remedy


@pytest.mark.slow
def test_a_text_that_the_server_will_not_take_is_told(reranker: Served) -> None:
    too_long = "acute fever " * 2000
    scorer = reranker.scorer("causal_lm", 100_000)
    scorer.prompts.max_length = 100_000  # as if the server had a lower limit than params
    with pytest.raises(DecantError, match="answered 400"):
        scorer.score(["a"], [too_long], TASK)
