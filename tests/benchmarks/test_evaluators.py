"""The benchmark's four counts agree where nothing ties, and differ as the documentation says where something does."""

import pytest

from benchmarks.evaluators import figures
from decant.data.sets import Row
from decant.evaluate.trec import RankedSet


def test_without_ties_all_agree() -> None:
    rows = RankedSet([Row("q", ["pa", "pd"], ["nb", "nc"], ids=["a", "d", "b", "c"])], [[0.9, 0.3, 0.5, 0.1]])
    found = figures(rows, "bi_encoder")
    assert list(found["MAP"].values()) == pytest.approx([(1 + 2 / 3) / 2] * 4, abs=1e-5)  # MTEB rounds to 5 decimals
    assert list(found["MRR@10"].values()) == [1.0] * 4


@pytest.mark.parametrize(("positive", "by_id"), [("z", 1.0), ("a", 0.5)])
def test_what_ties_with_a_positive_counts_by_its_id_in_trec_eval_and_mteb_2(positive: str, by_id: float) -> None:
    rows = RankedSet([Row("q", ["p"], ["n1", "n2"], ids=[positive, "b", "c"])], [[0.9, 0.9, 0.1]])
    found = figures(rows, "bm25")
    assert found["MAP"] == {"Decant": 0.5, "MTEB 1": 0.5, "MTEB 2": by_id, "trec_eval": by_id}
    assert found["MRR@10"] == {"Decant": 0.75, "MTEB 1": 1.0, "MTEB 2": by_id, "trec_eval": by_id}
