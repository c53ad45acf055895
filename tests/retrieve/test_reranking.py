"""What a search finds first is put in order, each pair scored once, and systems are timed in turns."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from decant.data.sets import Row, Split, write_split
from decant.data.tasks import Task
from decant.retrieve import rerank as module
from decant.retrieve.collection import read_collection
from decant.retrieve.rerank import latencies, rerank
from decant.retrieve.search import Ranking


class Lengths:
    """Scores a document by its length, and keeps what it was asked."""

    kind = "cross_encoder"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> np.ndarray:
        self.asked += [(*pair, str(task)) for pair in zip(queries, candidates, strict=True)]
        return np.array([len(text) for text in candidates], np.float32)


def ranking(*places: int) -> Ranking:
    return Ranking(np.array(places, np.int64), -np.arange(len(places), dtype=np.float32))


def test_the_first_documents_are_ordered_by_the_scorer_and_the_others_stay(tmp_path: Path) -> None:
    task = Task("", sets={"one": Task("first task"), "two": Task("second task")})
    rows = [Row("q", ["a"], ["bb", "ccc", "dddd"], set="one"), Row("r", ["dddd"], ["a"], set="two")]
    write_split(tmp_path / "test.parquet", Split(rows, task))
    collection = read_collection(tmp_path / "test.parquet", None)
    scorer = Lengths()
    found = {"some": [ranking(0, 1, 2, 3), ranking(3, 0)], "other": [ranking(2, 1, 3), ranking()]}
    ordered = rerank(collection, found, scorer, 2)
    assert {name: [of.places.tolist() for of in each.rankings] for name, each in ordered.items()} == {
        "some": [[1, 0, 2, 3], [3, 0]],
        "other": [[2, 1, 3], []],
    }
    assert sorted(scorer.asked) == sorted(
        [("q", text, "first task") for text in ("a", "bb", "ccc")]
        + [("r", text, "second task") for text in ("dddd", "a")]
    )
    assert ordered["some"].rankings[0].scores.tolist() == [2, 1, -np.inf, -np.inf]
    assert [query["mrr@10"] for query in ordered["some"].measures] == [1 / 2, 1.0]
    assert ordered["other"].measures[1]["recall@100"] == 0.0


def test_systems_take_turns_and_the_first_queries_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[tuple[str, str]] = []
    waits = {"slow": 5, "fast": 1}
    now = [0.0]

    def system(name: str):
        def answer(query: str) -> None:
            log.append((query, name))
            now[0] += waits[name] + (100 if query == "0" else 0)

        return answer

    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    found = latencies({name: system(name) for name in waits}, [str(number) for number in range(6)])
    assert log[:4] == [("0", "slow"), ("0", "fast"), ("1", "slow"), ("1", "fast")]
    assert found == {"slow": {"p50": 5000.0, "p95": 5000.0}, "fast": {"p50": 1000.0, "p95": 1000.0}}
