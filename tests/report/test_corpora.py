"""Searches of corpora: the tables of what was searched, with and without the untrained student beside it."""

from typing import Any

import numpy as np
import pytest

from decant.evaluate.metrics.corpus import MEASURES
from decant.report.corpora import adjust_corpora, compare_corpora, corpora_table, in_a_row_table
from decant.report.settings import ReportSettings

SETTINGS = ReportSettings(resamples=99)


def searched(*models: str) -> dict[str, Any]:
    """What the models find for 30 queries of one set, each model a tenth better than the one before it."""
    rng = np.random.default_rng(0)
    base = rng.uniform(0.1, 0.5, 30)
    values = {model: base + 0.1 * number + rng.uniform(0, 0.05, 30) for number, model in enumerate(models)}
    size = {"searched": np.full(30, 1234)}
    return {name: {"in_domain": {"own": dict.fromkeys(MEASURES, each) | size}} for name, each in values.items()}


def compared(*models: str) -> dict[str, Any]:
    found = compare_corpora(searched(*models), SETTINGS, 0)
    comparison = {"embedding": {"resamples": 99, "corpora": found}}
    adjust_corpora(comparison)
    return comparison


def test_the_student_stands_alone_where_it_alone_searched() -> None:
    comparison = compared("bm25", "after", "bm25+reranker", "after+reranker")
    entry = comparison["embedding"]["corpora"]["in_domain"]["own"]
    assert (entry["queries"], entry["documents"]) == (30, 1234)
    assert not any("change" in entry[measure] for measure in MEASURES)
    headers, rows = corpora_table(comparison)
    assert headers[2:] == ["queries", "documents", "measure", "after", "BM25"]
    assert rows[0][1:4] == ["own, in-domain", "30", "1,234"]
    assert {len(row) for row in rows} == {len(headers)}
    assert rows[0][5] == f"{entry['ndcg@10']['after']:.4f}"
    timed = {name: {"p50": 0.3, "p95": 0.5, "bytes": 10} for name in ("bm25", "after")}
    _, systems = in_a_row_table(comparison, {"embedding": {"systems": timed}})
    reranked = {"BM25 → reranker student", "embedding student → reranker student"}
    assert {row[1] for row in systems} == {"BM25", "embedding student"} | reranked


def test_time_and_memory_are_those_of_the_in_domain_corpus() -> None:
    comparison = compared("bm25", "after", "bm25+reranker")
    corpora = comparison["embedding"]["corpora"]
    corpora["out_of_domain"] = {"other": corpora["in_domain"]["own"]}
    timed = {name: {"p50": 0.3, "p95": 0.5, "bytes": 20_000_000} for name in ("bm25", "after", "bm25+reranker")}
    _, systems = in_a_row_table(comparison, {"embedding": {"systems": timed}})
    shown = {row[0]: row[-3:] for row in systems}
    assert shown == {"own, in-domain": ["0.3", "0.5", "20 MB"], "other, out-of-domain": ["–", "–", "–"]}


def test_a_change_is_tested_wherever_the_untrained_student_searched_too() -> None:
    comparison = compared("before", "after")
    entry = comparison["embedding"]["corpora"]["in_domain"]["own"]
    for measure in MEASURES:
        change = entry[measure]["change"]
        assert change["mean"] == pytest.approx(entry[measure]["after"] - entry[measure]["before"], abs=2e-6)
        assert change["p_holm"] == pytest.approx(min(1.0, len(MEASURES) * change["p_value"]), abs=1e-6)
    _, rows = corpora_table(comparison)
    assert all("…" in row[-2] and row[-1] != "–" for row in rows)
