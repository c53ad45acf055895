"""Scores that came with data, taken into the store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decant.data.sets import Row, Split, write_split
from decant.errors import DecantError
from decant.score.prompts import CrossEncoderPrompts
from decant.score.store import Store, StoredTeacher
from decant.score.store.complete import SplitScores
from decant.score.store.taking import Taken, take_scores
from decant.sources.references import resolve
from tests.support import tiny_models as tiny

PAIR = ("x, line 1", "wart", "c", 1.0)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[StoredTeacher]:
    write_split(tmp_path / "train.parquet", Split([Row("wart", ["c"], ["d"])], ""))
    write_split(tmp_path / "test.parquet", Split([Row("fever", ["e"], ["c"])], ""))
    (tmp_path / "x").write_text("what they stood in")
    with Store(tmp_path / "store", print).open({}, "m") as stored:
        yield stored


def prompts() -> CrossEncoderPrompts:
    return CrossEncoderPrompts(resolve(tiny.MINILM), 128)


def take(stored: StoredTeacher, folder: Path, *pairs: tuple[str, Any, Any, Any]) -> Taken:
    splits = {name: SplitScores(folder / f"{name}.parquet", prompts(), stored) for name in ("train", "test")}
    return take_scores(pairs, folder / "x", splits, prompts(), stored)


def test_pairs_are_counted_by_split_and_those_of_no_split_are_named(stored: StoredTeacher, tmp_path: Path) -> None:
    others = [("x, line 3", "wart", "e", 3.0), ("x, line 4", "nobody asks", "c", 4.0)]
    taken = take(stored, tmp_path, PAIR, ("x, line 2", "fever", "c", 2.0), *others)
    assert (taken.pairs, taken.new, taken.covered) == (4, 4, {"train": 1, "test": 1})
    assert taken.unmatched == ["x, line 3: 'wart', 'e'", "x, line 4: 'nobody asks', 'c'"]
    scores = SplitScores(tmp_path / "train.parquet", prompts(), stored).scores()
    assert scores[0] == 1.0
    assert np.isnan(scores[1])


def test_a_pair_that_repeats_with_its_score_counts_once(stored: StoredTeacher, tmp_path: Path) -> None:
    assert take(stored, tmp_path, PAIR, ("x, line 2", *PAIR[1:])).pairs == 1
    assert take(stored, tmp_path, PAIR).new == 0


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("a", "b", None), "line 2: the score is None"),
        (("a", "b", "high"), "line 2: the score is 'high'"),
        (("a", "b", float("nan")), "line 2: the score is nan"),
        (("a", "b", 1e39), "line 2: the score is 1e+39"),  # finite, but not as float32
        (("a", "b", True), "line 2: the score is True"),
        (("", "b", 1), "line 2: the query is ''"),
        (("a", ["b"], 1), "line 2: the passage is ['b']"),
        (("wart", "c", 2), "line 2: the pair ('wart', 'c') has the score 2 here, and 1 in x, line 1"),
    ],
)
def test_scores_of_which_one_is_broken_are_refused_whole(
    pair: tuple[Any, Any, Any], message: str, stored: StoredTeacher, tmp_path: Path
) -> None:
    with pytest.raises(DecantError) as caught:
        take(stored, tmp_path, PAIR, ("x, line 2", *pair))
    assert message in str(caught.value)
    assert len(stored.pairs) == 0
