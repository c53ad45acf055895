"""Texts that a model cuts are counted, each once, by the tokens that it reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer

from decant.models import bi_encoder as bi_encoders
from decant.models.cuts import count_cut, described
from decant.train.cuts import pairs_of
from decant.triplets.draw import SCHEMA
from tests.support.students import MINILM, bi_encoder, cross_encoder, kind_of

WORDS = "apple pear plum cherry grape melon fig lime date peach"
TEXTS = ["red", "an apple and a pear", WORDS, f"{WORDS} {WORDS}", "急性心肌梗塞的症状 🩺 café, unbelievably"]
TASK = "find it"


def batches(pairs: Sequence[tuple[str, str]], size: int) -> list[pa.RecordBatch]:
    rows = [{"query": query, "candidate": candidate} for query, candidate in pairs]
    return [pa.RecordBatch.from_pylist(rows[at : at + size]) for at in range(0, len(rows), size)]


@pytest.mark.parametrize("size", [1, 4, 100])
@pytest.mark.parametrize("limit", [3, 12, 16, 24])
@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
def test_what_a_student_cuts_is_counted_once_each_by_its_own_tokens(make: Any, limit: int, size: int) -> None:
    model = make()
    model.max_seq_length = limit
    pairs = [(query, text) for query in TEXTS[:4] for text in TEXTS[1:]] * 2
    counts = kind_of(model).models.count_cut(model, batches(pairs, size), "")
    if make is bi_encoder:
        inputs = {"queries": TEXTS[:4], "documents": TEXTS[1:]}
    else:
        inputs = {"pairs": list(dict.fromkeys(pairs))}
    for name, distinct in inputs.items():
        alone = [len(model.tokenizer(*([text] if isinstance(text, str) else text))["input_ids"]) for text in distinct]
        cut = sum(length > limit for length in alone)
        assert counts[name] == {"distinct": len(distinct), "cut": cut, "share": round(cut / len(distinct), 6)}
    assert counts.keys() == inputs.keys()


def test_a_students_prompts_are_counted_with_its_texts() -> None:
    model = bi_encoder()
    model.max_seq_length = len(model.tokenizer(WORDS)["input_ids"])
    assert bi_encoders.count_cut(model, batches([(WORDS, WORDS)], 1), TASK)["queries"]["cut"] == 0
    model.prompts = {"query": "Instruct: {task} ", "document": ""}
    counts = bi_encoders.count_cut(model, batches([(WORDS, WORDS)], 1), TASK)
    assert [counts[name]["cut"] for name in ("queries", "documents")] == [1, 0]


def test_a_model_without_a_limit_of_its_own_cuts_nothing() -> None:
    table = StaticEmbedding(Tokenizer.from_file(str(MINILM / "tokenizer.json")), embedding_dim=8)
    assert bi_encoders.count_cut(SentenceTransformer(modules=[table]), batches([(WORDS, WORDS)], 1), TASK) == {}


@pytest.mark.parametrize("of_texts", [True, False])
def test_no_pairs_are_no_cuts(of_texts: bool) -> None:
    counts = count_cut([], lambda *_: [], 3, of_texts=of_texts)
    assert {tuple(count.values()) for count in counts.values()} == {(0, 0, 0.0)}
    assert described(counts) == ""


def test_each_distinct_text_is_read_once_in_each_role() -> None:
    read: list[tuple[str, str]] = []

    def lengths(role: str, texts: Sequence[str]) -> list[int]:
        read.extend((role, text) for text in texts)
        return list(map(len, texts))

    pairs = [(query, text) for query in TEXTS[:2] for text in TEXTS] * 3
    count_cut(batches(pairs, 3), lengths, 3, of_texts=False)
    expected = [*(("query", text) for text in TEXTS[:2]), *(("document", text) for text in TEXTS)]
    assert sorted(read) == sorted(expected)


def test_n_tuples_are_counted_with_all_their_candidates(tmp_path: Path) -> None:
    rows = [
        {"query": f"q{number}", "positive": f"p{number}", "negatives": ["n", f"n{number}"], "scores": [1.0, 0.0, 0.0]}
        for number in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "tuples.parquet")
    pairs = [tuple(pair.values()) for batch in pairs_of(tmp_path / "tuples.parquet") for pair in batch.to_pylist()]
    assert sorted(pairs) == sorted((f"q{n}", text) for n in range(3) for text in (f"p{n}", "n", f"n{n}"))
