"""A Matryoshka teacher's embeddings are cut: as the library does it, and of what the store has whole."""

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from decant.data.scores import read_embeddings, read_scores
from decant.data.sets import Row, Split, write_split
from decant.errors import DecantError
from decant.files import read_json
from decant.score.plan import plan_track
from decant.score.run import score_track
from decant.score.settings import StoreSettings, Teacher
from decant.score.work import Job, Source
from decant.sources.references import resolve
from tests.support import tiny_models as tiny

ROWS = [Row(f"wart {n}", [f"a wart {n} of {n % 7}"], [f"fever {n} of {k}" for k in range(3)]) for n in range(12)]


def job(folder: Path, dimensions: int | None, dtype: str = "float32") -> Job:
    path = folder / "train.parquet"
    if not path.is_file():
        write_split(path, Split(ROWS, ""))
    teacher = Teacher.model_validate(
        {
            "kind": "bi_encoder",
            "engine": "sentence-transformers",
            "model": tiny.MINILM,
            "max_length": 64,
            "embeddings": True,
            "embeddings_dtype": dtype,
            "dimensions": dimensions,
        }
    )
    sources = {"train": Source(path, "own", "train", None, {})}
    return Job("embedding", teacher, StoreSettings(folder=str(folder / "store")), 0, sources)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_scores_and_embeddings_are_those_of_the_library_and_come_of_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    scores = tmp_path / "scores/embedding"
    score_track(job(tmp_path, 96, dtype), scores, print)
    kept = read_embeddings(scores)
    library = SentenceTransformer(str(resolve(tiny.MINILM)), device="cpu", truncate_dim=96)
    texts = kept.texts["document"].to_pylist()
    expected = library.encode(texts, normalize_embeddings=True)
    tolerance = {"float32": 1e-6, "float16": 5e-4}[dtype]
    np.testing.assert_allclose(kept.vectors[kept.rows["document"]], expected, atol=tolerance)
    table = read_scores(scores, "train").to_pylist()
    queries = library.encode([row["query"] for row in table], normalize_embeddings=True)
    candidates = library.encode([row["candidate"] for row in table], normalize_embeddings=True)
    cosines = (queries * candidates).sum(axis=1)
    np.testing.assert_allclose([row["score"] for row in table], cosines, atol=2 * tolerance)

    # Whole ones first, in another store: then the teacher need not run for the cut ones.
    other = tmp_path / "other"
    other.mkdir()
    score_track(job(other, None, dtype), other / "whole/embedding", print)
    monkeypatch.setenv("DECANT_TEACHER", "never")
    told: list[str] = []
    plan_track(job(other, 96, dtype), other / "cut/embedding", told.append)
    assert any("holds 60 whole embeddings of this teacher" in line for line in told)
    told.clear()
    score_track(job(other, 96, dtype), other / "cut/embedding", told.append)
    assert "embedding: 60 embeddings are cut from whole ones in the store" in told
    again = read_scores(other / "cut/embedding", "train").column("score").to_numpy()
    np.testing.assert_allclose(again, [row["score"] for row in table], atol=2 * tolerance)
    assert read_embeddings(other / "cut/embedding").vectors.shape == (60, 96)


def test_a_cut_teacher_is_another_teacher_and_a_whole_one_keeps_its_name(tmp_path: Path) -> None:
    names = {}
    for dimensions in (None, 96, 48):
        folder = tmp_path / f"{dimensions}/embedding"
        score_track(job(tmp_path, dimensions), folder, print)
        names[dimensions] = read_json(folder / "manifest.json")["identity"]
    assert "dimensions" not in names[None]
    assert [names[96]["dimensions"], names[48]["dimensions"]] == [96, 48]


def test_more_numbers_than_there_are_and_a_teacher_without_embeddings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DecantError, match="the embeddings have 384 numbers, and 400 of them are asked for"):
        score_track(job(tmp_path, 400), tmp_path / "scores/embedding", print)
    with pytest.raises(ValueError, match="`dimensions` is 8, and a cross_encoder makes none"):
        tiny.teacher("cross_encoder", "sentence-transformers", tmp_path, dimensions=8)
