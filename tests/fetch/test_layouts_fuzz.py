"""Whatever objects come, layouts raise nothing but a DecantError, and lose no row and no candidate."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.data.files import Unreadable
from decant.errors import DecantError
from decant.fetch.layouts import LAYOUTS
from decant.fetch.layouts.detect import module
from decant.fetch.layouts.given import Given
from decant.fetch.layouts.read import Rows

FUZZ = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
NAMES = sorted({name for layout in LAYOUTS for name in module(layout).COLUMNS.spellings})
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8)
TEXTS = st.sampled_from(["a", "b", "c", "d", "1", "0", ""])
INNER = st.sampled_from(["text", "title", "docid", "id", "score", "role", "content"])
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*NAMES, "negative_1", "neg-2", "Query", "good", "bad"]) | st.text(st.characters(), max_size=5)
RECORDS = st.lists(st.dictionaries(KEYS, VALUES, max_size=6), max_size=5)


def read(records: list[dict], layout: str | None) -> tuple[Rows, list[Given | Unreadable]] | None:
    rows = Rows([(f"own.jsonl, line {number}", record) for number, record in enumerate(records, start=1)], layout)
    try:
        return rows, [given for _, given in rows]
    except DecantError:
        return None


@pytest.mark.parametrize("layout", [None, *LAYOUTS])
@FUZZ
@given(records=RECORDS)
def test_any_objects_are_read_or_refused_and_every_row_comes_out(layout: str | None, records: list[dict]) -> None:
    for candidate in (records, [{"query": "q"}, *records]):  # the second is seldom refused
        if (out := read(candidate, layout)) is None:
            continue
        rows, given = out
        assert rows.rows == len(candidate)
        if rows.layout and not module(rows.layout).JOINS:
            assert len(given) == len(candidate)
        for row in given:
            assert isinstance(row, Unreadable) or are_parallel(row)


def are_parallel(row: Given) -> bool:
    """Whether all that stands beside candidates is as long as they are."""
    positive, negative, others = (
        0 if value is None else len(value) if isinstance(value, list) else 1
        for value in (row.positive, row.negative, row.candidates)
    )
    return (
        len(row.ids) in (0, positive + negative + others)
        and len(row.scores) in (0, positive + negative + others)
        and len(row.grades or []) in (0, positive + negative)
    )


PAIRS = st.fixed_dictionaries({"query": TEXTS, "passage": TEXTS, "label": st.sampled_from([0, 1, 2, "1", 0.5, None])})
TRIPLETS = st.fixed_dictionaries({"anchor": TEXTS, "positive": TEXTS, "negative": TEXTS}, optional={"neg_1": TEXTS})
SCORED = st.fixed_dictionaries({"query": TEXTS, "passage": TEXTS, "score": st.floats() | st.none()})


@pytest.mark.parametrize(
    ("layout", "records"), [("labelled_pairs", PAIRS), ("sentence_transformers", TRIPLETS), ("scored_pairs", SCORED)]
)
@FUZZ
@given(data=st.data())
def test_no_candidate_is_lost_in_joining(layout: str, records: st.SearchStrategy, data: st.DataObject) -> None:
    rows = data.draw(st.lists(records, min_size=1, max_size=12))
    out = read(rows, layout)
    assert out is not None
    unreadable = sum(isinstance(row, Unreadable) for row in out[1])
    lost = [row for row in rows if not is_in(row, [row for row in out[1] if isinstance(row, Given)])]
    assert len(lost) <= unreadable


def is_in(row: dict, out: list[Given]) -> bool:
    """Whether all texts of a row stand beside its query."""
    query = row.get("query", row.get("anchor"))
    texts = {text for name, text in row.items() if name in ("passage", "positive", "negative", "neg_1")}
    texts.discard(row.get("neg_1") if not row.get("neg_1", "-") else None)  # an empty numbered cell is no candidate
    beside = [{*(g.positive or []), *(g.negative or []), *(g.candidates or [])} for g in out if g.query == query]
    return texts <= set().union(*beside)
