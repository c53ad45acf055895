"""Indexes stand beside the exact search: what they find of it, and what they weigh."""

import sys
from pathlib import Path

import numpy as np
import pytest

from decant.data.sets import Row, Split, write_split
from decant.errors import DecantError
from decant.retrieve.collection import read_collection
from decant.retrieve.indexes import compare_indexes, load_faiss
from decant.retrieve.run import measured
from decant.retrieve.search import nearest

DOCUMENTS, QUERIES, NUMBERS = 3000, 40, 64


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_each_index_finds_most_of_what_the_exact_search_finds_in_less_space(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, NUMBERS))
    documents = unit(centres[rng.integers(0, 60, DOCUMENTS)] + 0.7 * rng.normal(size=(DOCUMENTS, NUMBERS)))
    queries = unit(documents[:QUERIES] + 0.05 * rng.normal(size=(QUERIES, NUMBERS)))
    texts = [f"document {number}" for number in range(DOCUMENTS)]
    own = np.array_split(np.arange(DOCUMENTS), QUERIES)  # of each query: the first one is right
    rows = [Row(f"query {n}", [texts[n]], [texts[k] for k in part if k != n]) for n, part in enumerate(own)]
    write_split(tmp_path / "test.parquet", Split(rows, ""))
    collection = read_collection(tmp_path / "test.parquet", None)
    order = [int(text.split()[1]) for text in collection.texts]
    compared = compare_indexes(collection, queries, documents[order], [16], 10)
    assert list(compared) == ["exact", "exact@16", "int8", "binary", "hnsw"]
    exact = measured(collection, nearest(queries, documents[order], 100), 100).means()["ndcg@10"]
    assert compared["exact"]["ndcg@10"] == exact > 0.9
    assert compared["exact"]["recall@10"] == compared["exact"]["recall@100"] == 1.0
    assert compared["int8"]["recall@100"] > 0.97
    assert compared["hnsw"]["recall@100"] > 0.97
    assert 0.5 < compared["binary"]["recall@10"] < 0.99
    assert compared["exact@16"]["recall@10"] < compared["int8"]["recall@10"]
    whole = DOCUMENTS * NUMBERS * 4
    assert [compared[name]["bytes"] for name in list(compared)[:4]] == [whole, whole // 4, whole // 4, whole // 32]
    assert compared["hnsw"]["bytes"] > whole
    assert all(0 < of["p50"] <= of["p95"] for of in compared.values())


def test_a_corpus_smaller_than_what_is_asked_for_is_found_whole(tmp_path: Path) -> None:
    rows = [Row("q", ["a"], ["b", "c"])]
    write_split(tmp_path / "test.parquet", Split(rows, ""))
    documents = unit(np.random.default_rng(1).normal(size=(3, 8)))
    compared = compare_indexes(read_collection(tmp_path / "test.parquet", None), documents[:1], documents, [], 1)
    assert {of["recall@100"] for of in compared.values()} == {1.0}


def test_a_missing_faiss_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(DecantError, match=r"pip install '.\[index\]'"):
        load_faiss()
