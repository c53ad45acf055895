"""Small files of the kinds that people bring: `decant inspect` and `fetch` make of each what its people mean."""

import json
from pathlib import Path
from typing import Any

import pytest

from decant.data.sets import Row, Task, read_split
from decant.errors import DecantError
from decant.fetch.build import fetch_set
from decant.fetch.inspection import inspect
from decant.fetch.reading import format_of
from decant.fetch.settings import DataSet
from tests.support.processes import decant

CASES = Path(__file__).parent / "cases"
OTHERS = {"train": "train.jsonl", "dev": "dev.jsonl", "test": "test.jsonl"}


def fetched(tmp_path: Path, case: str, **settings: Any) -> tuple[list[Row], dict[str, Any]]:
    """The rows of a case as a train split beside small dev and test splits, and what the card says of them."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("dev", "test"):
        row = {"query": f"{name} query", "positive": [f"{name} positive"], "negative": [f"{name} negative"]}
        (folder / f"{name}.jsonl").write_text(json.dumps(row))
    (folder / case).write_bytes((CASES / case).read_bytes())
    block = {"source": f"path:{folder}", **OTHERS, "train": case, "task": "Find it", **settings}
    card = fetch_set("own", DataSet.model_validate(block), tmp_path / "set")
    return read_split(tmp_path / "set" / "train.parquet").rows, card["splits"]["train"]


@pytest.mark.parametrize(
    "case, layout, queries, positives, negatives",
    [
        ("flagembedding.jsonl", "flagembedding", 3, 4, 9),
        ("tevatron.jsonl", "tevatron", 3, 4, 9),
        ("swift.jsonl", "swift", 3, 4, 9),
        ("triplets.csv", "sentence_transformers", 3, 4, 9),  # a row a triplet: rows of one query are joined
        ("numbered.csv", "sentence_transformers", 3, 3, 9),
        ("semicolon.csv", "rows", 2, 2, 4),
        ("tabs.tsv", "rows", 2, 2, 4),
        ("brackets.csv", "rows", 2, 2, 2),  # brackets alone make no list
    ],
)
def test_a_file_is_understood_without_a_word_about_it(tmp_path, case, layout, queries, positives, negatives):
    counts = inspect(CASES / case, {}).counts()
    found = [counts[key] for key in ("layout", "queries", "positives", "negatives", "faults", "unused")]
    assert found == [layout, queries, positives, negatives, 0, {}]
    rows, card = fetched(tmp_path, case)
    assert [card[key] for key in ("queries", "positives", "negatives")] == [queries, positives, negatives]
    assert all("reset" in row.query or "重置" in row.query or "clause" in row.query for row in rows[:1])


def test_tevatrons_ids_are_kept_and_a_title_stands_before_its_text(tmp_path):
    rows, _ = fetched(tmp_path, "tevatron.jsonl")
    assert (rows[0].query_id, rows[0].ids) == ("0", ["0p0", "0n0", "0n1", "0n2"])
    assert rows[0].positive == ["Hold the reset button for ten seconds."]
    assert rows[0].negative[0] == "Manual The router has four antennas."


def test_scores_and_prompts_that_come_along_are_told(tmp_path):
    found = inspect(CASES / "flagembedding.jsonl", {})
    assert found.counts()["scores"] == 13
    assert found.prompts == {"Represent this question for finding its answer: ": 3}
    assert any("decant import" in note for note in found.notes)
    assert any("Represent this question" in note and "gets it" in note for note in found.notes)


def test_a_prompt_that_all_rows_bring_is_kept_with_the_split_and_one_of_some_is_not(tmp_path):
    prompt = "Represent this question for finding its answer: "
    rows, _ = fetched(tmp_path, "flagembedding.jsonl")
    split = read_split(tmp_path / "set" / "train.parquet")
    assert (split.task, split.rows) == (Task("Find it", prompt), rows)
    assert read_split(tmp_path / "set" / "dev.parquet").task == Task("Find it")
    carved = DataSet(source=f"path:{tmp_path / 'own'}", train="flagembedding.jsonl", dev=1, test=1, task="")
    fetch_set("own", carved, tmp_path / "carved")
    assert {read_split(path).task.prompt for path in (tmp_path / "carved").glob("*.parquet")} == {prompt}
    lines = (CASES / "flagembedding.jsonl").read_text().splitlines()
    (tmp_path / "some.jsonl").write_text("\n".join([*lines[:2], lines[2].replace("Represent", "Embed")]))
    some = inspect(tmp_path / "some.jsonl", {})
    assert sorted(some.prompts.values()) == [1, 2]
    assert any("it is not used" in note for note in some.notes)


def test_columns_of_ones_own_are_refused_with_the_mapping_to_write(tmp_path):
    with pytest.raises(DecantError, match="`good` and `bad`") as caught:
        fetched(tmp_path, "unknown_columns.jsonl")
    assert "`columns: {positive: good, negative: bad}`" in caught.value.remedy
    counts = inspect(CASES / "unknown_columns.jsonl", {"columns": {"positive": "good", "negative": "bad"}}).counts()
    assert [counts[key] for key in ("queries", "positives", "negatives", "unused")] == [3, 4, 9, {}]


def test_all_faults_of_a_file_are_told_at_once(tmp_path):
    with pytest.raises(DecantError) as caught:
        fetched(tmp_path, "faults.jsonl")
    assert "6 faults in 7 rows" in caught.value.problem
    assert all(f"line {number}" in caught.value.problem for number in range(2, 8))


def test_faults_that_are_dropped_are_counted_on_the_card(tmp_path):
    rows, card = fetched(tmp_path, "faults.jsonl", faults="drop")
    kinds = {"both_lists": 2, "no_positive": 1, "invisible": 1, "not_a_string": 1, "duplicate_query": 1}
    assert card["faults"] == kinds
    assert (card["rows_left_out"], card["texts_left_out"]) == (2, 4)
    assert [len(row.negative) for row in rows] == [3, 3, 3, 1, 1]
    assert not {text for row in rows for text in row.candidates} & {"\ufeff", "It has a lid."}


def test_a_spreadsheets_encoding_is_named_and_read_when_it_is_given(tmp_path):
    with pytest.raises(DecantError, match="the encoding is likely gbk") as caught:
        inspect(CASES / "gbk.csv", {})
    assert "`encoding: gbk`" in caught.value.remedy
    assert "iconv -f GBK -t UTF-8" in caught.value.remedy
    rows, _ = fetched(tmp_path, "gbk.csv", encoding="gbk")
    assert [row.query for row in rows] == ["怎样重置路由器", "水壶为什么漏水"]
    assert [(len(row.positive), len(row.negative)) for row in rows] == [(1, 2), (1, 2)]


def beir(**settings: Any) -> list[Row]:
    return inspect(CASES / "beir", settings).rows


def test_a_beir_folder_as_published_is_read_with_its_grades():
    found = inspect(CASES / "beir", {})
    counts = found.counts()
    assert [counts[key] for key in ("layout", "split", "queries", "faults")] == ["beir", "test", 3, 0]
    assert found.faults.not_judged == {"queries without qrels": 1, "qrels of a query without a text": 1}
    assert [row.grades for row in found.rows] == [[3, 1, 0], [3, 2, 1, 0], [3, 1, 0]]
    assert (found.rows[1].query_id, found.rows[1].ids) == ("q2", ["5", "6", "7", "8"])
    assert found.rows[0].negative == ["Plug the printer into the wall."]


def test_what_counts_as_positive_begins_where_params_say():
    rows = beir(relevant_from=2)
    assert [(len(row.positive), len(row.negative)) for row in rows] == [(1, 2), (2, 2), (1, 2)]
    assert [row.grades for row in rows] == [[3, 1, 0], [3, 2, 1, 0], [3, 1, 0]]


def test_a_run_gives_the_candidates_in_its_order():
    rows = beir(candidates="run", run="../trec/run.txt")
    assert rows[0].ids == ["2", "1", "3", "4"]  # the positives of the run in its order, then its negatives
    assert rows[2].ids == ["11", "10", "12", "13"]
    assert [len(row.candidates) for row in beir(candidates="run", run="../trec/run.txt", top_k=2)] == [3, 4, 3]


def test_bm25_gives_the_best_of_the_corpus():
    rows = beir(candidates="bm25", top_k=2)
    assert rows[1].ids[-1] in {"8", "9"} or "8" in rows[1].ids  # "The kettle comes in three colours."
    assert all(len(row.candidates) >= 2 for row in rows)


def test_qrels_of_trec_stand_in_for_beirs_and_below_zero_is_not_relevant():
    found = inspect(CASES / "beir", {}, split="../trec/qrels.txt")
    assert [(row.query_id, row.ids, row.grades) for row in found.rows] == [
        ("q1", ["1", "2"], [3, 0]),
        ("q2", ["5", "6"], [3, 2]),
        ("q3", ["10"], [3]),
    ]
    assert inspect(CASES / "trec" / "qrels.txt", {}).counts()["queries"] == 3
    run = inspect(CASES / "trec" / "run.txt", {})
    assert run.counts()["candidates"] == 13
    assert f"`decant import TRACK {CASES / 'trec' / 'run.txt'}` takes its scores" in run.notes[0]


def test_the_command_prints_counts_for_programs_and_writes_the_block(tmp_path):
    counts = json.loads(decant(tmp_path, "inspect", str(CASES / "beir"), "--json").stdout)
    assert [counts[key] for key in ("layout", "queries", "positives", "negatives")] == ["beir", 3, 7, 3]
    root = Path(__file__).parents[2]
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    add = ("inspect", str(CASES / "swift.jsonl"), "--add", "forum")
    result = decant(tmp_path, *add)
    assert "Written into params.yaml" in result.stdout
    before, after = (root / "params.yaml").read_text().splitlines(), (tmp_path / "params.yaml").read_text().splitlines()
    assert [line for line in after if line in before] == before
    assert "    train: swift.jsonl" in after
    again = decant(tmp_path, *add)
    assert again.returncode == 1
    assert "has a data set 'forum' already" in again.stderr


def write(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("__", ".").replace("_", "-")).write_text(content)
    return folder


CORPUS = '{"_id": "d1", "title": "", "text": "one"}\n{"_id": "d2", "text": "two"}\n{"_id": "d3", "text": "three"}\n'


def test_gpls_folder_is_read_with_the_texts_that_its_ids_name(tmp_path):
    folder = write(
        tmp_path / "gpl",
        corpus__jsonl=CORPUS,
        qgen_queries__jsonl='{"_id": "q1", "text": "first"}\n{"_id": "q2", "text": "second"}\n',
        gpl_training_data__tsv="q1\td1\td2\t3.5\nq1\td1\td3\t1.0\nq2\td2\td1\t4\n",
    )
    found = inspect(folder, {})
    assert found.layout == "gpl"
    assert [(row.query, row.positive, row.negative, row.ids) for row in found.rows] == [
        ("first", ["one"], ["two", "three"], ["d1", "d2", "d3"]),
        ("second", ["two"], ["one"], ["d2", "d1"]),
    ]


def test_tevatrons_rows_of_ids_are_read_with_a_corpus_and_what_it_lacks_is_counted(tmp_path):
    row = {"query_id": "1", "query_text": "q", "positive_document_ids": ["d1"], "negative_document_ids": ["d2", "d9"]}
    folder = write(tmp_path / "set", corpus__jsonl=CORPUS, train__jsonl=json.dumps({**row, "answer": None}))
    found = inspect(folder, {})
    assert [(row.positive, row.negative, row.ids) for row in found.rows] == [(["one"], ["two"], ["d1", "d2"])]
    assert found.faults.not_judged == {"documents without a text": 1}
    assert found.unused == {}  # a column with nothing in it
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(DecantError, match="there is no corpus file") as caught:
        inspect(folder, {})
    assert "`corpus`" in caught.value.remedy


def test_rows_of_a_query_count_as_one_where_they_are_merged(tmp_path):
    rows = [{"query": "q", "positive": "p", "negative": negative} for negative in ("a", "b")]
    folder = write(tmp_path / "own", train__jsonl="\n".join(map(json.dumps, rows)))
    assert inspect(folder / "train.jsonl", {}).faults.total == 1
    merged = inspect(folder / "train.jsonl", {"duplicates": "merge"})
    assert (merged.queries, merged.positives, merged.negatives, merged.faults.total) == (1, 1, 2, 0)


def test_a_folder_of_shards_is_one_split(tmp_path):
    rows = [json.dumps({"query": f"q{number}", "pos": ["a"], "neg": ["b"]}) for number in range(4)]
    folder = write(tmp_path / "shards", part_0__jsonl="\n".join(rows[:2]), part_1__jsonl="\n".join(rows[2:]))
    found = inspect(folder, {})
    assert (found.layout, found.queries) == ("flagembedding", 4)
    assert (found.block["source"], found.block["train"]) == (f"path:{tmp_path}", "shards")


def test_a_column_that_nobody_reads_is_named_with_an_example(tmp_path):
    rows = [
        {"query": f"q{number}", "pos": [f"a{number}"], "neg": ["b"], "note": f"note {number}"} for number in range(9)
    ]
    folder = write(tmp_path / "own", train__jsonl="\n".join(map(json.dumps, rows)))
    assert inspect(folder / "train.jsonl", {}).unused == {"note": "note 0"}
    settings = DataSet(source=f"path:{folder}", train="train.jsonl", dev=2, test=2, task="")
    assert fetch_set("own", settings, tmp_path / "set")["unused"] == {"train": {"note": "note 0"}}
    assert inspect(folder / "train.jsonl", {"ignore": ["note"]}).unused == {}


def test_a_corpus_beside_a_file_of_rows_makes_no_beir_folder_of_it(tmp_path):
    row = {"query": "q", "positive": ["p"], "negative": ["n"]}
    folder = write(tmp_path / "own", corpus__jsonl=CORPUS, queries__jsonl=CORPUS, train__jsonl=json.dumps(row))
    settings = DataSet(source=f"path:{folder}", train="train.jsonl", test=1, task="")
    assert format_of(settings, folder, "train.jsonl", repository=False) == "auto"
    assert format_of(settings, folder, "train", repository=False) == "beir"


def test_a_query_none_of_whose_labelled_pairs_is_positive_is_left_out_and_counted(tmp_path):
    pairs = [("q1", "a1", 1), ("q1", "a2", 0), ("q2", "a3", 0), ("q2", "a4", 0), ("q3", "a5", 0), ("q3", "a6", 2)]
    lines = [json.dumps(dict(zip(("question", "answer", "label"), pair, strict=True))) for pair in pairs]
    (tmp_path / "wikiqa.jsonl").write_text("\n".join(lines))
    found = inspect(tmp_path / "wikiqa.jsonl", {})
    assert (found.layout, found.queries, found.positives, found.negatives) == ("labelled_pairs", 2, 2, 2)
    assert found.faults.not_judged == {"queries without a relevant document": 1}
    assert found.faults.total == 0
