"""Several teachers on real models: their scores as one, their embeddings side by side, and what each is paid for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import decant.score.engines.pool as pool
from decant.data.scores import EMBEDDINGS, read_embeddings, read_scores
from decant.data.sets import Row, Split, write_split
from decant.errors import DecantError
from decant.files import read_json
from decant.score.engines.base import Forward, load_forward
from decant.score.ensemble import combine
from decant.score.plan import plan_track
from decant.score.prompts import Prompt
from decant.score.run import score_track
from decant.score.settings import Ensemble, StoreSettings, Teacher
from decant.score.work import Job, Source, timed_teacher
from tests.support import tiny_models as tiny
from tests.support.planted_project import planted_rows

TEXTS = 24 * (1 + 4)  # queries and candidates of `rows`
TASK = "Given a medical term, retrieve its diagnosis"


def rows() -> list[Row]:
    """So many that `TEXTS` counts them."""
    return planted_rows(24, 3, marked=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny.qwen3(folder / "embedder", embedding=True, planted=True)
    tiny.qwen3(folder / "reranker", embedding=False, planted=True)
    return folder


@pytest.fixture
def blocks(models: Path) -> dict[str, dict[str, Any]]:
    """The params of three teachers."""
    plain = {"kind": "bi_encoder", "engine": "sentence-transformers", "max_length": 64}
    return {
        "minilm": {**plain, "model": tiny.MINILM},
        "embedder": {**plain, "model": f"path:{models / 'embedder'}"},
        "reranker": {
            "kind": "causal_lm",
            "engine": "transformers",
            "model": f"path:{models / 'reranker'}",
            "max_length": 300,
        },
    }


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many prompts each model has read, by the last part of its reference."""
    counts: Counter[str] = Counter()

    def load(teacher: Teacher, folder: Path) -> Forward:
        forward = load_forward(teacher, folder)

        def counted(prompts: Sequence[Prompt]) -> Any:
            counts[name_of(teacher)] += len(prompts)
            return forward(prompts)

        return counted

    monkeypatch.setattr(pool, "load_forward", load)
    return counts


def name_of(teacher: Teacher) -> str:
    return "minilm" if teacher.model == tiny.MINILM else teacher.model.rpartition("/")[2]


def job(folder: Path, teacher: dict[str, Any], **store: Any) -> Job:
    """The job of a teacher, or of several, on a set in a folder, whose store is there too."""
    folder.mkdir(exist_ok=True)
    for name, part in (("train", slice(0, 18)), ("test", slice(18, 24))):
        if not (folder / f"{name}.parquet").is_file():
            write_split(folder / f"{name}.parquet", Split(rows()[part], TASK))
    block = Ensemble.model_validate(teacher) if "ensemble" in teacher else Teacher.model_validate(teacher)
    sources = {
        "train": Source(folder / "train.parquet", "own", "train", None, {}),
        "test_in_domain": Source(folder / "test.parquet", "own", "test", None, {}),
    }
    return Job("reranker", block, StoreSettings(folder=str(folder / "store"), **store), 0, sources)


def by_row(folder: Path, name: str) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for pair in read_scores(folder, name).to_pylist():
        found.setdefault(pair["row"], []).append(pair["score"])
    return found


def test_scores_are_the_weighted_mean_of_scores_standardised_by_query(
    blocks: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    weights = {"minilm": 2.0, "embedder": 1, "reranker": 0.5}
    folder = tmp_path / "scores/reranker"
    several = job(tmp_path, {"ensemble": [{"weight": weights[name], **blocks[name]} for name in weights]})
    size = score_track(several, folder, print)
    alone, sizes = {}, []
    for number, name in enumerate(weights, 1):
        alone[name] = tmp_path / f"alone/{name}/reranker"
        sizes.append(score_track(job(tmp_path / "other", blocks[name]), alone[name], print))
        for file in ("train.parquet", "test_in_domain.parquet"):  # a member is what it would be alone
            assert (folder / f"members/{number}/{file}").read_bytes() == (alone[name] / file).read_bytes()
    for split in ("train", "test_in_domain"):
        expected = {row: np.zeros(len(scores)) for row, scores in by_row(folder, split).items()}
        for name, weight in weights.items():
            for row, scores in by_row(alone[name], split).items():
                values = np.array(scores, dtype=np.float64)
                expected[row] += weight / 3.5 * (values - values.mean()) / values.std()
        for row, scores in by_row(folder, split).items():
            np.testing.assert_allclose(scores, expected[row], atol=1e-6)
    manifest = read_json(folder / "manifest.json")
    assert [member["weight"] for member in manifest["members"]] == [2.0, 1.0, 0.5]
    assert [member["identity"] for member in manifest["members"]] == [
        read_json(path / "manifest.json")["identity"] for path in alone.values()
    ]
    assert manifest["files"]["train.parquet"]["pairs"] == 72
    assert abs(manifest["files"]["train.parquet"]["scores"]["mean"]) < 1e-6
    assert (folder / EMBEDDINGS).stat().st_size == 0
    card = (folder / "README.md").read_text()
    assert "| `members/3` | 0.5 |" in card
    assert "logit(yes) − logit(no)" in card
    assert "split: test_in_domain" in card
    assert size["parameters"] == sum(one["parameters"] for one in sizes)
    assert sum(figures["prompts"] for figures in size["engines"].values()) == sum(
        figures["prompts"] for one in sizes for figures in one["engines"].values()
    )
    assert size["cut"]["own"]["train"].keys() == {"queries", "documents", "pairs"}
    assert timed_teacher(several.teacher, several.store) == (
        "the teacher is an ensemble of 3, and one model alone is timed beside the student"
    )


def test_a_teacher_without_spread_adds_nothing_and_a_pair_without_one_score_has_none() -> None:
    numbers = np.array([0, 0, 0, 3, 3, 7], dtype=np.int32)
    one = np.array([0.1, 0.1, 0.1, 5, 7, 9], dtype=np.float32)
    other = np.array([-1, 0, np.nan, 0, 2, 0.5], dtype=np.float32)
    combined = combine(numbers, [one, other], [0.75, 0.25])
    # Row 0: the first says nothing, the second's two are one deviation from their mean. Row 7 has one pair.
    np.testing.assert_allclose(combined, [-0.25, 0.25, np.nan, -1, 1, 0], atol=1e-6)
    assert len(combine(numbers[:0], [one[:0], other[:0]], [0.5, 0.5])) == 0


def test_a_second_teacher_reads_what_it_would_alone_and_the_first_nothing(
    blocks: dict[str, dict[str, Any]], tmp_path: Path, read: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "scores/reranker"
    score_track(job(tmp_path, blocks["minilm"]), folder, print)
    score_track(job(tmp_path / "alone", blocks["embedder"]), tmp_path / "alone/reranker", print)
    alone = read["embedder"]
    assert read["minilm"] > TEXTS
    assert alone > TEXTS
    both = {"ensemble": [blocks["minilm"], blocks["embedder"]]}
    told: list[str] = []
    plan_track(job(tmp_path, both), folder, told.append)
    first, second = (index for index, line in enumerate(told) if line.startswith("teacher "))
    assert "every pair is scored already" in told[first:second]
    assert not any("already" in line for line in told[second:])
    assert told[second] == f"teacher 2 of 2 ({blocks['embedder']['model']})"
    read.clear()
    score_track(job(tmp_path, both), folder, print)
    assert read == {"embedder": alone}
    # What follows is of the pulled folder alone: the store is another, and no teacher may run.
    monkeypatch.setenv("DECANT_TEACHER", "never")
    before = by_row(folder, "train")
    both["ensemble"] = [{**blocks["minilm"], "weight": 3}, blocks["embedder"]]
    told.clear()
    plan_track(job(tmp_path / "elsewhere", both), folder, told.append)
    assert any(f"{folder}/members/2 holds scores of this teacher" in line for line in told)
    score_track(job(tmp_path / "elsewhere", both), folder, print)
    assert by_row(folder, "train") != before
    score_track(job(tmp_path / "third", blocks["embedder"]), folder, print)
    assert not (folder / "members").exists()
    with pytest.raises(DecantError) as caught:
        score_track(job(tmp_path / "third", both), folder, print)
    assert caught.value.problem.startswith(f"teacher 1 of 2 ({tiny.MINILM}): 96 pairs have no score yet")


def test_an_ensemble_without_this_teacher_is_told(blocks: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    folder = tmp_path / "scores/reranker"
    score_track(job(tmp_path, {"ensemble": [blocks["minilm"], blocks["embedder"]]}), folder, print)
    told: list[str] = []
    score_track(job(tmp_path, blocks["reranker"]), folder, told.append)
    assert f"reranker: {folder} holds scores of 2 teachers, and none of this one's" in told


@pytest.mark.parametrize("precisions", [("float32", "float32"), ("float16", "float16"), ("float16", "float32")])
def test_cosines_of_embeddings_side_by_side_are_the_weighted_means_of_cosines(
    blocks: dict[str, dict[str, Any]], tmp_path: Path, precisions: tuple[str, str]
) -> None:
    members = [
        {"weight": weight, "embeddings_dtype": dtype, **blocks[name]}
        for name, weight, dtype in zip(("minilm", "embedder"), (3, 1), precisions, strict=True)
    ]
    folder = tmp_path / "scores/reranker"
    several = job(tmp_path, {"ensemble": members, "embeddings": True})
    path = tmp_path / "replay.parquet"
    # Of another task: the second teacher's prompt has it, so that one query has two embeddings of its.
    write_split(path, Split([*rows()[:2], Row("acute wart of skin", ["wart of skin"], ["fever 1"])], "Another task"))
    replay = {"replay": Source(path, "guard", "train", None, {})}
    score_track(replace(several, sources={**several.sources, **replay}), folder, print)
    joint, first, second = (read_embeddings(place) for place in (folder, folder / "members/1", folder / "members/2"))
    assert [part.vectors.shape[1] for part in (joint, first, second)] == [384 + 64, 384, 64]
    assert len(first.rows["query"]) + 2 == len(second.rows["query"])
    assert joint.vectors.dtype == np.result_type(*precisions)
    tolerance = 2e-3 if "float16" in precisions else 1e-6
    np.testing.assert_allclose(np.linalg.norm(joint.vectors.astype(np.float64), axis=1), 1, atol=tolerance)
    wanted = {role: joint.texts[role] for role in ("query", "document")}
    assert sorted(wanted["query"].to_pylist()) == sorted({row.query for row in rows()[:18]} | {"acute wart of skin"})
    cosines = []
    for part in (joint, first, second):
        queries, documents = (part.vectors[part.find(role, texts)].astype(np.float64) for role, texts in wanted.items())
        lengths = [np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (queries, documents)]
        cosines.append((queries / lengths[0]) @ (documents / lengths[1]).T)
    np.testing.assert_allclose(cosines[0], 0.75 * cosines[1] + 0.25 * cosines[2], atol=tolerance)
    described = read_json(folder / "manifest.json")["embeddings"]
    assert described["splits"]["train"] + described["splits"]["replay"] == described["texts"] == len(joint.vectors)
    assert described["splits"]["replay"] == 3


def test_an_interrupted_ensemble_goes_on_where_it_was(
    blocks: dict[str, dict[str, Any]], tmp_path: Path, read: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, several = tmp_path / "scores/reranker", {"ensemble": [blocks["minilm"], blocks["embedder"]]}
    score_track(job(tmp_path / "other", several, shard=16), tmp_path / "whole/reranker", print)
    expected, tested = by_row(tmp_path / "whole/reranker", "train"), read["embedder"] - TEXTS  # in the self-test
    read.clear()
    counted = pool.load_forward

    def stops(teacher: Teacher, place: Path) -> Forward:
        forward = counted(teacher, place)

        def until(prompts: Sequence[Prompt]) -> Any:
            if name_of(teacher) == "embedder" and read["embedder"] >= tested + 3 * 16:
                raise KeyboardInterrupt
            return forward(prompts)

        return until

    monkeypatch.setattr(pool, "load_forward", stops)
    with pytest.raises(KeyboardInterrupt):
        score_track(job(tmp_path, several, shard=16), folder, print)
    assert not folder.exists()
    assert not list(folder.parent.iterdir())
    monkeypatch.setattr(pool, "load_forward", counted)
    read.clear()
    score_track(job(tmp_path, several, shard=16), folder, print)
    assert read == {"embedder": tested + TEXTS - 3 * 16}
    assert by_row(folder, "train") == expected


def test_a_pair_that_one_teacher_sets_aside_is_set_aside_altogether(
    blocks: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = {"minilm": rows()[2].negative[0], "embedder": rows()[5].negative[1]}  # a text that each has no score for

    def load(teacher: Teacher, folder: Path) -> Forward:
        forward, bad = load_forward(teacher, folder), lost[name_of(teacher)]

        def without(prompts: Sequence[Prompt]) -> Any:
            hit = [any(bad in text for text in prompt.texts) for prompt in prompts]
            return np.where(np.array(hit)[:, None], np.nan, forward(prompts))

        return without

    monkeypatch.setattr(pool, "load_forward", load)
    several = {"ensemble": [blocks["minilm"], blocks["embedder"]], "embeddings": True}
    folder = tmp_path / "scores/reranker"
    with pytest.raises(DecantError, match=r"^teacher 1 of 2 .*: reranker train: 1 of 72 pairs can have no score"):
        score_track(job(tmp_path, several), folder, print)
    with pytest.raises(DecantError, match="2 of 72 pairs lack the score of one teacher or another") as caught:
        score_track(job(tmp_path, several, max_quarantined=1 / 71), folder, print)
    listed = tmp_path / "store/quarantine-reranker.jsonl"
    assert str(listed) in caught.value.remedy
    assert len(listed.read_text().splitlines()) == 2
    assert not folder.exists()
    score_track(job(tmp_path, several, max_quarantined=0.1), folder, print)
    pairs = {(pair["query"], pair["candidate"]) for pair in read_scores(folder, "train").to_pylist()}
    assert {text for _, text in pairs}.isdisjoint(lost.values())
    assert read_json(folder / "manifest.json")["files"]["train.parquet"]["quarantined"] == 2
    assert len(pairs) == 70
    reasons = (folder / "quarantine.jsonl").read_text()
    assert '"reason": "teacher 1: ' in reasons
    assert '"reason": "teacher 2: ' in reasons
    for scores in by_row(folder, "train").values():  # standardised over what is left
        assert abs(np.mean(scores)) < 1e-6
    assert set(read_embeddings(folder).texts["document"].to_pylist()).isdisjoint(lost.values())
