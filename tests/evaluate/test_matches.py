"""What a threshold on the best candidate's score gets right."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from decant.data.sets import Row
from decant.evaluate.metrics.matches import Best, best_candidates, measure_matches
from decant.evaluate.run import run_from_scores, write_results
from decant.evaluate.told import read_told

LABELS = [[1, 0], [1, 0], [0, 1, 0], [1]]
SCORES = [[0.9, 0.4], [0.5, 0.7], [0.1, 0.8, 0.2], [0.3]]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    return


def test_each_query_is_asked_as_it_is_and_without_its_positives() -> None:
    whole, without = best_candidates(LABELS, SCORES)
    assert whole == [Best(0.9, True), Best(0.7, False), Best(0.8, True), Best(0.3, True)]
    assert without == [Best(0.4, False), Best(0.7, False), Best(0.2, False)]  # the last has nothing else


def test_a_positive_that_ties_is_not_the_best() -> None:
    assert best_candidates([[1, 0]], [[0.5, 0.5]])[0] == [Best(0.5, False)]


@pytest.mark.parametrize(
    ("threshold", "precision", "recall", "wrong"),
    [
        (0.8, 2 / 2, 2 / 4, 0.0),  # what scores as much as the threshold is shown
        (0.6, 2 / 4, 2 / 4, 1 / 3),
        (0.0, 3 / 7, 3 / 4, 1.0),
        (2.0, 1.0, 0.0, 0.0),  # nothing is shown, and nothing wrong
    ],
)
def test_precision_recall_and_what_is_shown_without_a_match(
    threshold: float, precision: float, recall: float, wrong: float
) -> None:
    assert measure_matches(LABELS, SCORES, threshold) == {
        "match_precision": pytest.approx(precision, abs=1e-6),
        "match_recall": pytest.approx(recall, abs=1e-6),
        "shown_without_match": pytest.approx(wrong, abs=1e-6),
    }


def test_the_runs_of_a_student_with_a_threshold_tell_of_it(tmp_path: Path) -> None:
    rows = [
        Row("q1", ["a"], ["b"], set="one"),
        Row("q2", ["c"], ["d"], set="two"),
    ]
    scores = np.array([0.9, 0.1, 0.2, 0.6], dtype=np.float32)
    runs = {"both": run_from_scores(rows, scores, "bi_encoder")}
    means = write_results("embedding", "after", {"in_domain": "both"}, runs, None, 0.5)["in_domain"]
    told = read_told(tmp_path / "data/runs/embedding/after.parquet")["matches"]["in_domain"]
    assert list(told) == ["both", "one", "two"]  # a union's sets too
    assert told["both"] == {"score": 0.5, **measure_matches([[1, 0], [1, 0]], [[0.9, 0.1], [0.2, 0.6]], 0.5)}
    assert (told["one"]["match_recall"], told["two"]["match_recall"]) == (1.0, 0.0)
    assert means["both"].keys() == {"map", "mrr@10", "ndcg@10"}  # those of every model
