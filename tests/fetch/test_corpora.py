"""A set keeps the corpus that its source has, whatever its layout."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from decant.data.corpus import TEXTS_AT_ONCE, read_corpus, write_corpus
from decant.fetch.build import fetch_set
from decant.fetch.settings import DataSet, Union
from decant.fetch.union import fetch_union
from decant.files import read_json, sha256
from tests.support.fetched_sets import source, unrelated, write

DOCUMENTS = [("d1", "positive 1"), ("d2", "Title and text"), ("d3", "in no qrels")]


def beir(folder: Path) -> DataSet:
    """A BEIR folder, from whose qrels dev and test are carved."""
    (folder / "qrels").mkdir(parents=True)
    lines = {
        "corpus": [
            {"_id": "d1", "text": "positive 1"},
            {"_id": "d2", "title": "Title", "text": "and text"},
            {"_id": "d3", "text": "in no qrels"},
            {"_id": "d4", "text": " "},
            *({"_id": f"p{number}", "text": f"document {number}"} for number in range(20)),
        ],
        "queries": [{"_id": f"q{number}", "text": f"query {number}"} for number in range(20)],
    }
    for name, records in lines.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    qrels = "".join(f"q{number}\tp{number}\t1\nq{number}\td1\t0\n" for number in range(20))
    (folder / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{qrels}")
    return source(folder, train="train")


def corpus(folder: Path) -> list[tuple[str, str]]:
    table = read_corpus(folder / "corpus.parquet")
    return list(zip(*(table[name].to_pylist() for name in ("id", "text")), strict=True))


def test_a_beir_folders_corpus_is_kept_with_ids_and_titles_without_empty_texts(tmp_path: Path) -> None:
    card = fetch_set("own", beir(tmp_path / "own"), tmp_path / "set")
    assert corpus(tmp_path / "set") == [*DOCUMENTS, *((f"p{n}", f"document {n}") for n in range(20))]
    assert card["corpus"] == {"texts": 23, "sha256": sha256(tmp_path / "set" / "corpus.parquet")}
    assert read_json(tmp_path / "set" / "card.json") == card


@pytest.mark.parametrize("named", ["documents.tsv", None])
def test_rows_have_the_corpus_that_is_named_and_no_other(tmp_path: Path, named: str | None) -> None:
    write(tmp_path / "own", unrelated(20))
    (tmp_path / "own" / "documents.tsv").write_text("id\ttext\n" + "".join(f"{i}\t{text}\n" for i, text in DOCUMENTS))
    (tmp_path / "own" / "corpus.jsonl").write_text('{"_id": "x", "text": "of another set"}')
    card = fetch_set("own", source(tmp_path / "own", corpus=named), tmp_path / "set")
    assert corpus(tmp_path / "set") == (DOCUMENTS if named else [])
    assert (tmp_path / "set" / "corpus.parquet").exists() == ("corpus" in card) == bool(named)


def test_a_union_has_the_corpora_of_its_sets(tmp_path: Path) -> None:
    write(tmp_path / "rows", unrelated(20, "other "))
    sets: dict[str, Any] = {"folder": beir(tmp_path / "own"), "rows": source(tmp_path / "rows")}
    fetch_union("both", Union.model_validate({"union": {"rows": 1, "folder": 1}}), sets, tmp_path / "both")
    assert corpus(tmp_path / "both")[:3] == DOCUMENTS
    fetch_union(
        "alike",
        Union.model_validate({"union": {"rows": 1, "more": 1}}),
        {**sets, "more": more(tmp_path)},
        tmp_path / "alike",
    )
    assert not (tmp_path / "alike" / "corpus.parquet").exists()


def more(folder: Path) -> DataSet:
    write(folder / "more", unrelated(20, "more "))
    return source(folder / "more")


def test_a_corpus_of_many_texts_is_written_in_parts_and_read_whole(tmp_path: Path) -> None:
    texts = [(str(number), f"text {number}") for number in range(2 * TEXTS_AT_ONCE + 5)]
    assert write_corpus(tmp_path / "corpus.parquet", iter(texts)) == len(texts)
    assert corpus(tmp_path) == texts
    assert pq.read_metadata(tmp_path / "corpus.parquet").num_row_groups == 3
    assert write_corpus(tmp_path / "empty.parquet", ()) == len(read_corpus(tmp_path / "empty.parquet")) == 0
