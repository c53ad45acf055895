"""Evaluations of shortened embeddings: the library's `truncate_dim`, texts encoded once, and a row for each."""

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import RerankingEvaluator

from decant.data.sets import Row, Split, write_split
from decant.errors import DecantError
from decant.evaluate.bm25 import BM25Scorer
from decant.evaluate.metrics import METRICS
from decant.evaluate.run import evaluate, read_metrics, write_results
from decant.evaluate.trec import read_ranked
from decant.files import read_json
from decant.models.bi_encoder import BiEncoderScorer
from decant.report.comparison import adjust, compare
from decant.report.notes import notes
from decant.report.table import markdown
from stages import evaluate as stage
from tests.support.compared import SETTINGS, cost, tables, whole
from tests.support.encoded import encoded_texts
from tests.support.students import DEV, FRUIT, bi_encoder
from tests.support.training_project import TrainingProject

DIMENSIONS = [96, 8]
TASTES = Split(
    [
        Row(
            f"how does a {f} taste",
            [f"{f}s are sweet"],
            [f"{o}s are {n}" for o, n in zip(FRUIT, reversed(FRUIT), strict=True)],
        )
        for f in FRUIT
    ],
    "",
)


@pytest.fixture(scope="module")
def model() -> SentenceTransformer:
    return bi_encoder()


@pytest.mark.parametrize("split", [DEV, TASTES], ids=["weights", "tastes"])
def test_shortened_runs_are_those_of_the_librarys_truncated_model(model: SentenceTransformer, split: Split) -> None:
    run = evaluate(BiEncoderScorer(model, 64), split, DIMENSIONS)
    assert run.means() == evaluate(BiEncoderScorer(model, 64), split).means()
    samples = [{"query": row.query, "positive": row.positive, "negative": row.negative} for row in split.rows]
    for dimension, short in run.shortened.items():
        library = SentenceTransformer(modules=[*model], truncate_dim=dimension)
        expected = RerankingEvaluator(samples, batch_size=8, write_csv=False)(library)
        assert short.means() == pytest.approx({name: expected[name] for name in METRICS}, abs=1e-6)
        for row, scores in zip(split.rows, short.scores, strict=True):
            query, texts = (library.encode(each, normalize_embeddings=True) for each in (row.query, row.candidates))
            assert query.shape == (dimension,)
            assert np.allclose(scores, texts @ query, rtol=0, atol=1e-6)
    assert list(run.shortened) == DIMENSIONS
    assert run.shortened[8].means() != run.means()


def test_texts_are_encoded_once_for_all_dimensions(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encoded_texts(model, monkeypatch)
    evaluate(BiEncoderScorer(model, 64), DEV, DIMENSIONS)
    texts = {text for row in DEV.rows for text in (row.query, *row.candidates)}
    assert sorted(encoded) == sorted(texts)


def test_what_cannot_be_shortened_is_refused(model: SentenceTransformer) -> None:
    with pytest.raises(DecantError, match="a bm25 makes no embeddings to shorten"):
        evaluate(BM25Scorer(), DEV, [8])
    with pytest.raises(DecantError, match="the embeddings have 384 numbers, and 385 of them are asked for"):
        evaluate(BiEncoderScorer(model, 64), DEV, [385])


def test_a_unions_sets_have_rows_for_each_dimension_too(
    model: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        Row(row.query, row.positive, row.negative, set=name)
        for name, of in (("w", DEV), ("t", TASTES))
        for row in of.rows
    ]
    run = evaluate(BiEncoderScorer(model, 64), Split(rows, ""), DIMENSIONS)
    means = write_results("embedding", "after", {"in_domain": "both"}, {"both": run})["in_domain"]
    assert list(means) == [
        "both",
        "w",
        "t",
        *(f"{name}@{numbers}" for numbers in (96, 8) for name in ("both", "w", "t")),
    ]
    tastes = evaluate(BiEncoderScorer(model, 64), TASTES, [8])
    assert means["t@8"] == pytest.approx(tastes.shortened[8].means(), abs=1e-6)


def test_students_are_evaluated_at_each_dimension_and_whoever_reads_a_run_reads_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = TrainingProject(tmp_path, 0.0, epochs=2, evaluations=1)
    in_domain = project.params["embedding"]["in_domain"]
    project.params["embedding"]["out_of_domain"] = None
    project.params["embedding"]["loss"]["dimensions"] = DIMENSIONS
    project.set()
    write_split(tmp_path / f"data/sets/{in_domain}/test.parquet", TASTES)
    project.train_here("embedding", monkeypatch)
    for name in ("before", "after", "bm25"):
        stage.main("embedding", name)
    before, after, bm25 = (
        read_json(tmp_path / f"metrics/embedding/{name}.json") for name in ("before", "after", "bm25")
    )
    assert list(before["in_domain"]) == list(after["in_domain"]) == [in_domain, f"{in_domain}@96", f"{in_domain}@8"]
    assert list(bm25["in_domain"]) == [in_domain]
    project.params["embedding"]["loss"]["dimensions"] = None
    project.set()
    stage.main("embedding", "after")
    assert read_json(tmp_path / "metrics/embedding/after.json")["in_domain"] == {
        in_domain: after["in_domain"][in_domain]
    }


def test_the_report_has_a_row_for_each_dimension_with_its_interval(
    model: SentenceTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dimensions = {"before": [8], "after": [8], "teacher": []}
    for name, shorter in dimensions.items():
        run = evaluate(BiEncoderScorer(model, 64), TASTES, shorter)
        write_results("embedding", name, {"in_domain": "own-set"}, {"own-set": run})
    path = tmp_path / "data/runs/embedding/after.parquet"
    assert read_ranked(path, "in_domain", TASTES.rows).scores == [scores.tolist() for scores in run.scores]
    runs = {name: read_metrics(tmp_path / f"data/runs/embedding/{name}.parquet")["in_domain"] for name in dimensions}
    compared = {
        dataset: compare({name: run[dataset] for name, run in runs.items() if dataset in run}, *SETTINGS)
        for dataset in runs["after"]
    }
    comparison = whole(compared["own-set"])
    comparison["embedding"]["domains"]["in_domain"] = compared
    adjust(comparison)
    summary, means, changes, *_ = tables(markdown(comparison, cost()))
    assert [row[1] for row in summary[2:]] == ["own-set, in-domain", "own-set@8, in-domain"]
    assert [row[4] for row in summary[2:]] == [summary[2][4], "–"]  # the teacher's embeddings stay whole
    for table, of_metric in ((means, 3), (changes, 3)):
        assert [row[1] for row in table[2:]] == ["own-set, in-domain"] * of_metric + [
            "own-set@8, in-domain"
        ] * of_metric
    assert all("(" in row[3] and "…" in row[3] for row in changes[2:])
    (note,) = (note for note in notes(comparison, cost()) if "own-set@8" in note and "shortened" in note)
    assert note.startswith(
        "own-set@8 is that set again, with the student's embeddings shortened to their first 8 numbers"
    )
    del comparison["embedding"]["domains"]["in_domain"]["own-set@8"]
    assert not [note for note in notes(comparison, cost()) if "@" in note]
