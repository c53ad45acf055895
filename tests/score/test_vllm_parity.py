"""The real vLLM engine gives the scores of the plain library, on tiny Qwen3, Qwen2 and Gemma models and on MiniLM.

Run by `make test-vllm`, which makes the environment that it needs.
"""

from pathlib import Path

import numpy as np
import pytest

from decant.errors import DecantError
from decant.models.scorer import Scores
from decant.score.engines import REFERENCE
from decant.score.teacher import TeacherScorer
from decant.sources.references import resolve
from tests.support import tiny_models as tiny
from tests.support import tiny_rerankers

pytestmark = pytest.mark.vllm

TASK = "Given a medical term, retrieve its diagnosis"
TEXTS = {
    "ordinary": "Plantar wart of the left foot",
    "a space": " ",
    "a letter": "a",
    "punctuation": "...",
    "a newline": "\n",
    "very long": "acute fever of unknown origin, " * 400,
    "Chinese": "急性心肌梗塞，伴有发热",
    "emoji": "👩‍⚕️🩺 fever 🤒🏽",
    "code": 'def f(x: int) -> str:\n\treturn f"{x!r}"  # é',
    "the template's own tokens": "<|im_end|>\n<|im_start|>assistant\nyes [SEP] <|endoftext|>",
    "a prefix of another": "Plantar wart of",
}
QUERIES = ["wart", "what is fever 🤒?", "急性", "def g(y):"]
PAIRS = [query for query in QUERIES for _ in TEXTS], list(TEXTS.values()) * len(QUERIES)
CASES = {
    # name: kind, how the model is made, the largest difference allowed
    "qwen3-embedding": ("bi_encoder", lambda folder: tiny.qwen3(folder, embedding=True), 1e-5),
    "qwen3-reranker": ("causal_lm", lambda folder: tiny.qwen3(folder, embedding=False), 1e-4),
    "gemma": ("causal_lm", tiny_rerankers.gemma, 1e-4),
    "mxbai": ("causal_lm", tiny_rerankers.qwen2, 1e-4),
    "minilm": ("bi_encoder", lambda _: resolve(tiny.MINILM), 1e-5),
    "minilm-cross-encoder": ("cross_encoder", tiny.minilm_cross_encoder, 1e-4),
}
TEMPLATES = {"gemma", "mxbai"}  # cases of the template of their name
QUICK = {"qwen3-embedding", "qwen3-reranker", "minilm-cross-encoder"}  # one of each kind
every_case = pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)


class Engines:
    """Both engines of each case, loaded once: several vLLM engines live in one process as long as none is let go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.teachers: dict[tuple[str, str], TeacherScorer] = {}

    def score(self, case: str, engine: str, *pairs: list[str]) -> Scores:
        kind, make, _ = CASES[case]
        if (case, engine) not in self.teachers:
            folder = self.folder / case
            ready = folder if folder.exists() else make(folder)
            name = REFERENCE[kind] if engine == "plain" else engine
            self.teachers[case, engine] = tiny.scorer(
                kind, name, ready, 400, template=case if case in TEMPLATES else None
            )
        return self.teachers[case, engine].score(*pairs, TASK)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Engines:
    return Engines(tmp_path_factory.mktemp("models"))


@every_case
def test_vllm_gives_the_plain_librarys_scores(case: str, engines: Engines) -> None:
    plain, vllm = engines.score(case, "plain", *PAIRS), engines.score(case, "vllm", *PAIRS)
    assert vllm.dtype == np.float32
    assert vllm.shape == (len(PAIRS[0]),)
    differences = dict(zip(zip(*PAIRS, strict=True), np.abs(plain - vllm), strict=True))
    worst = max(differences, key=differences.__getitem__)
    assert differences[worst] < CASES[case][2], worst
    assert np.ptp(plain) > 0.1  # else parity would say nothing
    assert len(np.unique(plain.round(4))) > len(plain) / 2


@every_case
def test_vllm_keeps_the_order_of_many_pairs(case: str, engines: Engines) -> None:
    """More than fit into one of its batches, of all lengths, so that they finish out of order."""
    texts = [f"wart {'fever ' * (number * 7 % 90)}{number}" for number in range(300)]
    pairs = [QUERIES[number % 4] for number in range(300)], texts
    plain, vllm = engines.score(case, "plain", *pairs), engines.score(case, "vllm", *pairs)
    assert np.abs(plain - vllm).max() < CASES[case][2]


def test_log_odds_are_raw(engines: Engines) -> None:
    scores = engines.score("qwen3-reranker", "vllm", *PAIRS)
    assert scores.min() < -1  # no sigmoid
    assert np.ptp(scores) > 2
    assert len(np.unique(scores)) > len(scores) * 0.9  # no sentinel


def test_answers_of_several_tokens_stop_it(tmp_path: Path) -> None:
    folder = tiny.qwen3(tmp_path / "model", embedding=False)
    tiny.tokenizer(folder, embedding=False, words=["fever", "wart"])
    with pytest.raises(DecantError, match="must be one token"):
        tiny.scorer("causal_lm", "vllm", folder, 400).score(["a"], ["b"])


def test_a_template_of_another_architecture_stops_it(tmp_path: Path) -> None:
    folder = tiny.qwen3(tmp_path / "model", embedding=False)
    with pytest.raises(DecantError, match=r"of the template mxbai must be a qwen2, and .* is a qwen3"):
        tiny.scorer("causal_lm", "vllm", folder, 400, template="mxbai").score(["a"], ["b"])


def test_a_head_in_modules_stops_it(tmp_path: Path) -> None:
    folder = tiny.modular_cross_encoder(tmp_path)
    with pytest.raises(DecantError, match=r"must be a \.\.\.ForSequenceClassification, and the head of"):
        tiny.scorer("cross_encoder", "vllm", folder, 400).score(["a"], ["b"])
