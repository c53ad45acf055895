"""The scores that come with data, in every layout that has them."""

import json
from pathlib import Path
from typing import Any

import pytest

from decant.data.digests import text_id
from decant.data.sets import Row, Split, write_split
from decant.errors import DecantError
from decant.fetch.scored import open_scored

CASES = Path(__file__).parent / "cases"
TRIPLE = {"query": "a", "passage": "b", "score": 1.5}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pairs(path: Path, **options: Any) -> list[tuple[Any, ...]]:
    return [pair[1:] for pair in open_scored(path, (), **options)]


def refusal(path: Path, *splits: Path, **options: Any) -> str:
    with pytest.raises(DecantError) as caught:
        list(open_scored(path, splits, **options))
    return str(caught.value)


def test_flagembeddings_scores_stand_beside_their_texts() -> None:
    scored = open_scored(CASES / "flagembedding.jsonl", ())
    found = list(scored)
    assert (len(found), scored.layout, scored.without_score, scored.like_labels) == (13, "flagembedding", 0, False)
    kettle = [(text, score) for place, query, text, score in found if "kettle" in query]
    assert kettle[:3] == [
        ("A worn gasket lets water out at the base.", 9.5),
        ("Leaks come from a cracked seam.", 8.5),
        ("Green tea is brewed at 80 degrees.", 1.5),
    ]
    assert found[4][0] == f"{CASES / 'flagembedding.jsonl'}, line 2"


def test_tevatrons_passages_have_scores_titles_and_ids_of_a_corpus(tmp_path: Path) -> None:
    corpus = write(tmp_path / "texts.jsonl", {"id": "d3", "text": "third"})
    row = {
        "query": "a",
        "positive_passages": [{"docid": "d1", "title": "T", "text": "one", "score": 3.5}],
        "negative_passages": [
            {"docid": "d2", "text": "two", "score": None},
            {"docid": "d3", "score": 0.5},
            {"docid": "d4", "score": 0.25},
        ],
    }
    scored = open_scored(write(tmp_path / "t.jsonl", row), (), corpus=corpus)
    assert [pair[1:] for pair in scored] == [("a", "T one", 3.5), ("a", "third", 0.5)]
    assert scored.without_score == 1
    assert scored.without_text == [f"{tmp_path / 't.jsonl'}, line 1: documents without a text"]


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("x.jsonl", json.dumps(TRIPLE), {}),
        ("x.csv", "question;text;score\na;b;1.5\na;c;\n", {}),  # an empty cell is no score
        ("x.csv", "q,passage,logit\na,b,1.5\n", {"columns": {"query": "q", "score": "logit"}}),
        ("x.tsv", "query\tpassage\tlabel\na\tb\t1.5\n", {"layout": "scored_pairs"}),
    ],
)
def test_triples_are_read_whatever_their_columns(name: str, text: str, options: Any, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert pairs(tmp_path / name, **options) == [("a", "b", 1.5)]


def test_a_text_of_another_encoding_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("query,passage,score\n重置,路由器,1.5\n".encode("gbk"))
    assert pairs(tmp_path / "x.csv", encoding="gbk") == [("重置", "路由器", 1.5)]


def test_low_whole_numbers_are_scores_here_and_are_told_to_look_like_labels(tmp_path: Path) -> None:
    rows = [{**TRIPLE, "score": 1}, {**TRIPLE, "passage": "c", "score": 0}]
    scored = open_scored(write(tmp_path / "x.jsonl", *rows), ())
    assert [score for *_, score in scored] == [1, 0]
    assert scored.like_labels


def test_each_row_of_a_query_keeps_its_own_place(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", TRIPLE, {**TRIPLE, "score": 2.5})
    assert [place for place, *_ in open_scored(path, ())] == [f"{path}, line 1", f"{path}, line 2"]


def test_a_folder_of_shards_is_read_whole(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    write(folder / "0.jsonl", TRIPLE)
    write(folder / "1.jsonl", {**TRIPLE, "passage": "c"})
    assert [passage for _, passage, _ in pairs(folder)] == ["b", "c"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("swift.jsonl", "the layout swift has no scores of a teacher"),
        ("numbered.csv", "the layout sentence_transformers has no scores"),
        ("semicolon.csv", "the layout rows has no scores of a teacher (columns: "),
        ("beir", "a folder in the layout beir has no scores"),
        ("tevatron.jsonl", "no pair has a score\n  → write `score` in each passage"),
        ("nowhere.jsonl", "there is no such file or folder"),
        ("trec/qrels.txt", "qrels.txt, line 1: 4 cells"),
    ],
)
def test_what_has_no_scores_is_refused_in_words(path: str, message: str) -> None:
    assert message in refusal(CASES / path)


def test_gpls_margins_are_no_scores(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", {"query_id": "q", "positive_id": "p", "negative_id": "n", "margin": 3.5})
    assert "the layout gpl has no scores of a teacher" in refusal(path)


@pytest.mark.parametrize("score", ["high", True, [1.5]])
def test_a_score_that_is_no_number_is_refused_at_its_line(score: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", TRIPLE, {**TRIPLE, "score": score})
    assert f"{path}, line 2: the score is {score!r}, not a finite number" in refusal(path)


def test_a_line_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", TRIPLE, {**TRIPLE, "score": float("nan")})
    assert f"{path}, line 2: not valid JSON" in refusal(path)


def test_formats_and_options_that_do_not_apply_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", TRIPLE)
    for layout in ("beir", "icd10", "nonsense"):
        assert f"there is no layout '{layout}' with scores" in refusal(path, layout=layout)
    assert "a TREC run has six columns" in refusal(CASES / "trec/run.txt", encoding="gbk")
    assert "no column of any layout" in refusal(path, columns={"scroe": "score"})


def with_ids(path: Path) -> Path:
    """A split with the ids of BEIR's case, but for the last document, which has none."""
    texts = {r["_id"]: r["text"] for r in map(json.loads, (CASES / "beir/corpus.jsonl").read_text().splitlines())}
    row = Row("how do I reset the router", [texts["1"]], [texts[2], texts["3"]], query_id="q1", ids=["1", "2", ""])
    write_split(path, Split([row, Row("no ids", ["x y"], ["z"])], ""))
    return path


def test_a_runs_ids_are_those_of_the_splits_or_of_their_texts(tmp_path: Path) -> None:
    split = with_ids(tmp_path / "train.parquet")
    run = tmp_path / "teacher.run"
    printer = text_id("Plug the printer into the wall.")
    run.write_text(
        f"q1 Q0 2 1 2.5 t\nq1 Q0 1 2 1.5 t\nq1 Q0 {printer} 3 0.5 t\nq1 Q0 9 4 0.25 t\n"
        f"q7 Q0 1 1 9 t\n{text_id('no ids')} Q0 {text_id('x y')} 1 7 t\n"
    )
    scored = open_scored(run, [split])
    assert list(scored) == [
        (f"{run}, line 1", "how do I reset the router", "The router has four antennas.", 2.5),
        (f"{run}, line 2", "how do I reset the router", "Hold the reset button for ten seconds.", 1.5),
        (f"{run}, line 3", "how do I reset the router", "Plug the printer into the wall.", 0.5),
        (f"{run}, line 6", "no ids", "x y", 7.0),
    ]
    assert scored.without_text == [f"{run}, line 4: q1 9", f"{run}, line 5: q7 1"]


def test_an_id_with_a_space_is_found_as_runs_write_it(tmp_path: Path) -> None:
    write_split(tmp_path / "s.parquet", Split([Row("a", ["b"], ["c"], query_id="q 1", ids=["d 1", "d2"])], ""))
    run = tmp_path / "x.trec"
    run.write_text("q%201 Q0 d%201 1 2.5 t\nq 1\tQ0\td2\t1\t1.5\tt\n")
    assert [pair[1:] for pair in open_scored(run, [tmp_path / "s.parquet"])] == [("a", "b", 2.5), ("a", "c", 1.5)]


def test_a_run_that_names_two_pairs_or_none_is_refused(tmp_path: Path) -> None:
    one, other = with_ids(tmp_path / "train.parquet"), tmp_path / "replay.parquet"
    write_split(other, Split([Row("of another set", ["x"], ["y"], query_id="q1", ids=["1", "9"])], ""))
    run = tmp_path / "x.run"
    run.write_text("q1 Q0 9 1 2.5 t\nq1 Q0 1 1 2.5 t\n")
    assert f"{run}, line 2: the ids q1 and 1 name 2 pairs of the splits" in refusal(run, one, other)
    run.write_text("q5 Q0 1 1 2.5 t\n")
    assert f"none of its 1 lines names a pair of the track's splits; the first is {run}, line 1" in refusal(run, one)
    run.write_text("")
    assert "there is no line in it" in refusal(run, one)
