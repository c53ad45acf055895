"""A reranker's teacher puts documents in order by way of the score store: no pair is read twice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decant.errors import DecantError
from decant.retrieve.teachers import open_reranking_teacher
from decant.score.settings import Ensemble, StoreSettings, Teacher
from decant.score.teacher import TeacherScorer
from tests.support.tiny_models import MINILM, minilm_cross_encoder

QUERIES = ["how to sort", "how to sort", "invert a matrix"]
DOCUMENTS = ["Sort a list in place.", "The inverse of a matrix.", "The inverse of a matrix."]


def teacher_of(kind: str, folder: Path, **options: Any) -> Teacher:
    model = MINILM if kind == "bi_encoder" else f"path:{minilm_cross_encoder(folder)}"
    return Teacher(kind=kind, engine="sentence-transformers", model=model, max_length=64, **options)


@pytest.mark.parametrize("kind", ["bi_encoder", "cross_encoder"])
def test_scores_are_the_teachers_and_no_item_is_read_twice(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, store = teacher_of(kind, tmp_path / "model"), StoreSettings(folder=str(tmp_path / "store"))
    read: list[Any] = []
    reading = TeacherScorer.read

    def counted(self: TeacherScorer, shards: Any, task: str) -> Any:
        listed = [(number, list(items)) for number, items in shards]
        read.extend(item for _, items in listed for item in items)
        return reading(self, listed, task)

    monkeypatch.setattr(TeacherScorer, "read", counted)
    with open_reranking_teacher(teacher, store, print) as scorer:
        first = scorer.score(QUERIES[:2], DOCUMENTS[:2], "a task")
    before = len(read)
    assert before == (4 if kind == "bi_encoder" else 2) - (kind == "bi_encoder")  # two documents and one query
    with open_reranking_teacher(teacher, store, print) as scorer:
        again = scorer.score(QUERIES, DOCUMENTS, "a task")
    assert len(read) == before + 1  # the third pair, or its query
    assert again[:2].tolist() == first.tolist()
    folder = Path(teacher.model.removeprefix("path:")) if kind == "cross_encoder" else None
    if folder:
        with TeacherScorer(teacher, folder) as plain:
            assert again == pytest.approx(plain.score(QUERIES, DOCUMENTS, "a task"), abs=1e-5)
    assert again[2] > first[1] if kind == "bi_encoder" else np.isfinite(again).all()


def test_a_pair_that_can_have_no_score_comes_last(tmp_path: Path) -> None:
    teacher = teacher_of("cross_encoder", tmp_path / "model")
    with open_reranking_teacher(teacher, StoreSettings(folder=str(tmp_path / "store")), print) as scorer:
        scores = scorer.score(["sort", "sort " * 80], DOCUMENTS[:2])
    assert np.isfinite(scores).tolist() == [True, False]
    assert scores[1] == -np.inf


def test_what_may_not_or_cannot_rerank_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, store = teacher_of("bi_encoder", tmp_path), StoreSettings(folder=str(tmp_path / "store"))
    members = [{**teacher.model_dump(), "max_length": length} for length in (32, 64)]
    ensemble = Ensemble.model_validate({"ensemble": members})
    with pytest.raises(DecantError, match="an ensemble of 2"), open_reranking_teacher(ensemble, store, print):
        pass
    monkeypatch.setenv("DECANT_TEACHER", "never")
    with pytest.raises(DecantError, match="DECANT_TEACHER=never"), open_reranking_teacher(teacher, store, print):
        pass
