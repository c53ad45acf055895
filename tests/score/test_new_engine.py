"""One more engine is one module, and one line in `ENGINES`."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from decant.data.sets import Row, Split, write_split
from decant.errors import DecantError
from decant.files import read_json
from decant.score.engines import ENGINES, Engine, sentence_transformers
from decant.score.engines.base import Forward
from decant.score.run import score_track
from decant.score.settings import StoreSettings, Teacher
from decant.score.work import Job, Source, has_run_here
from decant.sources.references import resolve
from tests.support import tiny_models as tiny

ROWS = [Row(f"wart {n}", [f"a wart {n} of {n % 7}"], [f"fever {n} of {k}" for k in range(3)]) for n in range(20)]


class Another(ModuleType):
    """An engine as a user would add it, here one that asks the plain library."""

    @staticmethod
    def version(teacher: Teacher) -> str:
        return f"another engine of a {teacher.kind}"

    @staticmethod
    def load(teacher: Teacher, folder: Path) -> Forward:
        return sentence_transformers.load(teacher, folder)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DECANT_TEACHER", raising=False)
    monkeypatch.setitem(sys.modules, "another", Another("another"))
    monkeypatch.setitem(ENGINES, "another", Engine("another", ("bi_encoder",), own_version=True))
    write_split(tmp_path / "train.parquet", Split(ROWS, ""))
    source = Source(tmp_path / "train.parquet", "own", "train", None, {})
    teacher = Teacher(kind="bi_encoder", engine="another", model=tiny.MINILM, max_length=64)
    return Job("reranker", teacher, StoreSettings(folder=str(tmp_path / "store")), 0, {"train": source})


def test_a_new_engine_scores(job: Job, tmp_path: Path) -> None:
    told: list[str] = []
    assert not has_run_here(job.teacher, job.store)
    size = score_track(job, tmp_path / "scores/reranker", told.append)
    assert size["parameters"] > 20e6
    assert size["bytes"] > 80e6
    assert "sentence-transformers on the " in told[0]  # which the self-test compared it with
    manifest = read_json(tmp_path / "scores/reranker/manifest.json")
    assert manifest["files"]["train.parquet"]["origins"] == [{"engine": "another engine of a bi_encoder", "pairs": 80}]
    assert has_run_here(job.teacher, job.store)
    assert not has_run_here(job.teacher.model_copy(update={"max_length": 32}), job.store)
    assert not has_run_here(job.teacher.model_copy(update={"model": "path:nowhere"}), job.store)
    again: list[str] = []
    assert score_track(job, tmp_path / "scores/reranker", again.append) == size
    assert again[0] == "reranker: the store holds the scores of all pairs"


def test_an_engine_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'no-such' is no engine: choose sentence-transformers or"):
        tiny.teacher("cross_encoder", "no-such", tmp_path)
    with pytest.raises(DecantError, match="vLLM is not installed"):
        tiny.scorer("cross_encoder", "vllm", resolve(tiny.MINILM)).score(["a"], ["b"])
