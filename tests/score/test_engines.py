"""The engines that run without further packages, one against another, and several at once."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

import decant.score.teacher
from decant.errors import DecantError
from decant.score.engines import transformers, vllm
from decant.score.engines.pool import Pool, count_engines, visible_gpus
from decant.score.prompts import make_prompts
from decant.sources.references import resolve
from tests.support import tiny_models as tiny
from tests.support.project import ROOT
from tests.support.tiny_models import scorer, teacher

TASK = "Given a medical term, retrieve its diagnosis"
TEXTS = [
    "Plantar wart",
    " ",
    ".",
    "a",
    "acute fever " * 300,
    "急性心肌梗塞，伴有发热",
    "👩‍⚕️🩺 fever 🤒",
    "def f(x):\n\treturn x",
]
QUERIES = ["wart", "what is fever 🤒?", "急性"]
PAIRS = [query for query in QUERIES for _ in TEXTS], TEXTS * len(QUERIES)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "bi_encoder": tiny.qwen3(folder / "embedding", embedding=True),
        "causal_lm": tiny.qwen3(folder / "reranker", embedding=False),
        "cross_encoder": tiny.minilm_cross_encoder(folder / "cross"),
        "minilm": resolve(tiny.MINILM),
    }


def test_a_bi_encoder_gives_the_librarys_own_cosines(models: dict[str, Path]) -> None:
    for name in ("bi_encoder", "minilm"):
        scores = scorer("bi_encoder", "sentence-transformers", models[name]).score(*PAIRS, TASK)
        model = SentenceTransformer(str(models[name]))
        model.max_seq_length = 192
        prompt = "Instruct: {task}\nQuery:".replace("{task}", TASK) if name == "bi_encoder" else ""
        queries = model.encode(QUERIES, prompt=prompt, normalize_embeddings=True)
        documents = model.encode(TEXTS, prompt="", normalize_embeddings=True)
        assert np.abs(scores - (queries @ documents.T).ravel()).max() < 1e-5, name
        assert np.ptp(scores) > 0.1


def test_a_causal_lm_gives_the_difference_of_the_two_logits(models: dict[str, Path]) -> None:
    folder = models["causal_lm"]
    at_work = scorer("causal_lm", "transformers", folder, 512)
    scores = at_work.score(*PAIRS, TASK)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    yes, no = tokenizer.convert_tokens_to_ids(["yes", "no"])
    for query, text, score in zip(*PAIRS, scores, strict=True):
        prompt = at_work.prompts.parts(query, text, TASK)["pair"]
        with torch.inference_mode():
            logits = model(torch.tensor([prompt.ids])).logits[0, -1]
        assert abs(float(logits[yes] - logits[no]) - score) < 1e-4
    assert np.ptp(scores) > 1


def test_a_cross_encoder_gives_the_raw_logit(models: dict[str, Path]) -> None:
    folder = models["cross_encoder"]
    scores = scorer("cross_encoder", "sentence-transformers", folder).score(*PAIRS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for query, text, score in zip(*PAIRS, scores, strict=True):
        inputs = tokenizer([query], [text], truncation="only_second", max_length=192, return_tensors="pt")
        with torch.inference_mode():
            assert abs(float(model(**inputs).logits) - score) < 1e-4
    assert np.ptp(scores) > 1


def test_a_causal_lm_computes_a_querys_prefix_once_and_scores_as_without(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(seen: list[int]) -> Any:
        load = transformers.load_causal_lm

        def counted(*arguments: Any, **options: Any) -> Any:
            model = load(*arguments, **options)
            layer = model.model.layers[0]
            layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[0] * inputs[0].shape[1]))
            return model

        with monkeypatch.context() as patch:
            patch.setattr(transformers, "load_causal_lm", counted)
            return scorer("causal_lm", "transformers", models["causal_lm"], batch_tokens=2048).score(*PAIRS, TASK)

    shared: list[int] = []
    alone: list[int] = []
    scores = score(shared)
    monkeypatch.setattr(transformers, "shares_prefixes", lambda _: False)
    expected = score(alone)
    assert scores == pytest.approx(expected, abs=1e-4)
    assert sum(shared) < 0.7 * sum(alone)


def test_equal_pairs_are_read_once(models: dict[str, Path]) -> None:
    prompts = make_prompts(teacher("bi_encoder", "sentence-transformers", models["minilm"]), models["minilm"])
    items, numbers = prompts.distinct(["a", "a", "b"], ["b", "a", "c"], "")
    assert len(items) == 3  # MiniLM has no prompts, so that queries and candidates share their texts
    assert numbers == [0, 0, 1, 1, 0, 2]
    prompts = make_prompts(teacher("bi_encoder", "sentence-transformers", models["bi_encoder"]), models["bi_encoder"])
    items, numbers = prompts.distinct(["a", "a", "b"], ["b", "a", "c"], TASK)
    assert len(items) == 5  # the instruct makes a query differ from the same text as a document
    assert [len(prompt.ids) > 10 for prompt in prompts.build(items, TASK)] == [True, True, False, False, False]
    prompts = make_prompts(
        teacher("cross_encoder", "sentence-transformers", models["cross_encoder"]), models["cross_encoder"]
    )
    items, numbers = prompts.distinct(["a", "a", "a"], ["b", "c", "b"], "")
    assert (items, numbers) == ([("a", "b"), ("a", "c")], [0, 1, 0])


@pytest.mark.parametrize("kind", ["bi_encoder", "causal_lm", "cross_encoder"])
def test_a_query_without_room_stops_before_anything_is_scored(
    kind: str, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decant.score.teacher, "SHARD", 8)
    engine = "transformers" if kind == "causal_lm" else "sentence-transformers"
    at_work = scorer(kind, engine, models[kind], 300)
    with pytest.raises(DecantError, match="1 of 4 queries leave no room"):
        at_work.score([*PAIRS[0], "fever " * 400], [*PAIRS[1], "text"], TASK)
    assert at_work._engines is None


def test_a_score_does_not_depend_on_what_else_is_in_other_shards(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decant.score.teacher, "SHARD", 8)
    at_work = scorer("causal_lm", "transformers", models["causal_lm"], 512)
    alone = at_work.score(PAIRS[0][:8], PAIRS[1][:8], TASK)
    assert at_work.score(*PAIRS, TASK)[:8].tobytes() == alone.tobytes()


@pytest.mark.parametrize("kind", [pytest.param("bi_encoder", marks=pytest.mark.slow), "causal_lm"])
def test_two_engines_give_the_bytes_of_one(kind: str, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decant.score.teacher, "SHARD", 8)
    engine = "transformers" if kind == "causal_lm" else "sentence-transformers"
    one = scorer(kind, engine, models[kind], 512).score(*PAIRS, TASK)
    with scorer(kind, engine, models[kind], 512, engines=2) as at_work:
        assert at_work.score(*PAIRS, TASK).tobytes() == one.tobytes()
        assert at_work.score(*PAIRS, TASK).tobytes() == one.tobytes()


def test_a_fault_in_an_engines_process_is_told_as_it_is(tmp_path: Path) -> None:
    broken = tiny.qwen3(tmp_path / "model", embedding=True)
    fault = pytest.raises(DecantError, match="Qwen3ForCausalLM has no classification head to keep")
    with scorer("cross_encoder", "sentence-transformers", broken, engines=2) as at_work, fault:
        at_work.score(*PAIRS)


def test_an_engine_that_dies_is_told_and_nothing_hangs(models: dict[str, Path]) -> None:
    with scorer("bi_encoder", "sentence-transformers", models["minilm"], engines=2) as at_work:
        at_work.score(["a"], ["b"])
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(DecantError, match="the process of engine 0 died at shard 0"):
            at_work.score(["a"], ["c"])


@pytest.mark.slow
def test_engines_that_are_killed_take_no_other_child_with_them(models: dict[str, Path]) -> None:
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=time.sleep, args=(600,))
    other.start()
    folder = models["minilm"]
    pool = Pool(teacher("bi_encoder", "sentence-transformers", folder, engines=2), folder, 2)
    prompts = make_prompts(teacher("bi_encoder", "sentence-transformers", folder), folder)
    next(pool.map([(0, prompts.build([("document", "a")], ""))]))
    engines = [child for child in multiprocessing.active_children() if child.pid != other.pid]
    assert engines
    pool.close(kill=True)
    time.sleep(0.2)
    assert other.is_alive()
    assert not any(child.is_alive() for child in engines)
    other.kill()
    other.join()


@pytest.mark.parametrize(
    ("asked", "parallel", "gpus", "engines"),
    [(None, 1, 0, 1), (None, 1, 4, 4), (2, 1, 4, 2), (None, 2, 4, 2), (3, 1, 0, 3)],
)
def test_one_engine_a_gpu_unless_asked_otherwise(
    asked: int | None, parallel: int, gpus: int, engines: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert count_engines(teacher("causal_lm", "vllm", tmp_path, engines=asked, tensor_parallel=parallel)) == engines


@pytest.mark.parametrize(("engines", "parallel"), [(2, 2), (3, 1)])
def test_too_few_gpus_are_told(engines: int, parallel: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DecantError, match=f"{engines} engines on {parallel} GPUs each, and 2 GPUs are visible"):
        count_engines(teacher("causal_lm", "vllm", tmp_path, engines=engines, tensor_parallel=parallel))


@pytest.mark.parametrize(
    ("listed", "count", "names"),
    [
        (None, 2, ["0", "1"]),
        ("2,3", 2, ["2", "3"]),
        ("GPU-a, GPU-b", 2, ["GPU-a", "GPU-b"]),
        ("0,1", 0, []),
        ("-1", 0, []),
    ],
)
def test_the_gpus_that_may_be_used(
    listed: str | None, count: int, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible_gpus() == names


@pytest.mark.slow
def test_engines_end_with_a_stage_that_is_killed(models: dict[str, Path], tmp_path: Path) -> None:
    script = (
        "import multiprocessing, os, signal\n"
        "from pathlib import Path\n"
        "from tests.support.tiny_models import scorer\n"
        "if __name__ == '__main__':\n"
        f"    folder = Path({str(models['minilm'])!r})\n"
        "    at_work = scorer('bi_encoder', 'sentence-transformers', folder, engines=2)\n"
        "    at_work.score(['a'], ['b'])\n"
        "    print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "killed.py"
    path.write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (tmp_path / "out").open("w") as out:  # a file: a pipe would stay open as long as an engine lives
        subprocess.run([sys.executable, str(path)], env=environment, stdout=out, stderr=subprocess.DEVNULL)
    engines = [int(number) for number in (tmp_path / "out").read_text().split() if number.isdigit()]
    assert engines
    deadline = time.monotonic() + 30
    while any(psutil.pid_exists(number) for number in engines):
        assert time.monotonic() < deadline, engines
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("version", "fault"),
    [
        ("0.17.9", "CVE-2026-27893"),
        ("0.9.2", "CVE-2025-66448"),
        ("dev", "CVE-2026-27893"),
        (None, "vLLM is not installed"),
        ("0.18.0", None),
        ("0.32.0+cpu", None),
        ("1.0.0", None),
    ],
)
def test_vllm_below_018_is_refused_with_the_reason(
    version: str | None, fault: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a distribution that the metadata in `tmp_path` describes."""
    if version is not None:
        described = tmp_path / "vllm_described-0.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm-described\nVersion: {version}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(vllm, "DISTRIBUTIONS", ("vllm-described",))
    if fault is None:
        assert vllm.installed_version() == version
        return
    with pytest.raises(DecantError, match=fault) as caught:
        vllm.installed_version()
    assert "pip install '.[vllm]'" in caught.value.remedy


def test_half_precision_stays_within_the_self_tests_tolerance(models: dict[str, Path]) -> None:
    for kind, engine, bar in (("bi_encoder", "sentence-transformers", 2e-2), ("causal_lm", "transformers", 0.5)):
        half = scorer(kind, engine, models[kind], 512, dtype="bfloat16").score(*PAIRS, TASK)
        difference = np.abs(scorer(kind, engine, models[kind], 512).score(*PAIRS, TASK) - half).max()
        assert 0 < difference < bar
