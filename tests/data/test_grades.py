"""Grades and ids of a set: kept in a split, and what pairs make of them."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.data import sets
from decant.data.digests import text_id
from decant.data.pairs import stream_pairs
from decant.data.sets import Row, Split, read_split, write_split

TEXTS = st.lists(st.text("ab", max_size=2), max_size=4)


@st.composite
def graded_rows(draw: st.DrawFn) -> Row:
    """Rows with grades and without; of some, positives or negatives alone, as in train splits before mining."""
    positive, negative = draw(TEXTS), draw(TEXTS)
    grades = [draw(st.integers(1, 127)) for _ in positive] + [draw(st.integers(0, 3)) for _ in negative]
    return Row("q", positive, negative, grades=grades if draw(st.booleans()) else [])


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(graded_rows().filter(lambda row: row.labelled), min_size=1, max_size=9))
def test_the_label_of_a_positive_is_its_grade_and_that_of_a_negative_0(tmp_path: Path, rows: list[Row]) -> None:
    write_split(tmp_path / "split.parquet", Split(rows, ""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sets, "ROWS_AT_ONCE", 4)
        batches = list(stream_pairs(tmp_path / "split.parquet"))
    found = [(pair["row"], pair["candidate"], pair["label"]) for batch in batches for pair in batch.to_pylist()]
    assert found == [
        (number, text, row.gains[place] if place < len(row.positive) else 0)
        for number, row in enumerate(rows)
        for place, text in enumerate(row.candidates)
    ]


def test_ids_and_grades_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        Row("a", ["p"], ["n", "m"], grades=[2, 1, 0], query_id="q1", ids=["d1", "", "d3"]),
        Row("b", ["p"], ["n"]),
    ]
    write_split(tmp_path / "split.parquet", Split(rows, ""))
    assert read_split(tmp_path / "split.parquet").rows == rows


def test_the_id_of_a_text_without_one_is_what_b2sum_prints() -> None:
    assert text_id("naïve café") == "aff5d4da9a349167"
