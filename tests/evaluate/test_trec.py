"""trec_eval, through ir_measures, gives of an exported run and its qrels what Decant gives."""

from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, nDCG

from decant.data.digests import text_id
from decant.data.sets import Row
from decant.errors import DecantError
from decant.evaluate.run import Run, read_metrics, run_from_scores, write_runs
from decant.evaluate.trec import RankedSet, qrels_lines, read_ranked, run_lines

MEASURES = {"map": AP(rel=2), "mrr@10": RR(rel=2) @ 10, "ndcg@10": nDCG @ 10}


def graded_row(number: int, rng: np.random.Generator) -> Row:
    """A row with grades 0 to 3 of which 2 and 3 are positive; every third row has no id for its query or documents."""
    positives, negatives = int(rng.integers(1, 5)), int(rng.integers(1, 20))
    texts = [f"text {number}.{place} ünï" for place in range(positives + negatives)]
    grades = [*rng.integers(2, 4, positives).tolist(), *rng.integers(0, 2, negatives).tolist()]
    ids = [f"doc/{number}-{place}" for place in range(len(texts))]
    ids[-1] = ""
    named = {"query_id": f"{number}", "ids": ids} if number % 3 else {}
    return Row(f"query {number}", texts[:positives], texts[positives:], grades=grades, **named)


def ranked(rows: list[Row], seed: int = 0) -> tuple[Run, RankedSet]:
    scores = np.random.default_rng(seed).normal(size=sum(len(row.candidates) for row in rows)).astype(np.float32)
    run = run_from_scores(rows, scores, "bi_encoder")
    return run, RankedSet(rows, [part.tolist() for part in run.scores])


def write(path: Path, lines: list[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def judged(
    tmp_path: Path, run: list[str], qrels: list[str]
) -> tuple[list[ir_measures.Qrel], list[ir_measures.ScoredDoc]]:
    return (
        list(ir_measures.read_trec_qrels(write(tmp_path / "q.qrels", qrels))),
        list(ir_measures.read_trec_run(write(tmp_path / "a.run", run))),
    )


def test_trec_eval_gives_the_metrics_of_every_graded_query(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [graded_row(number, rng) for number in range(60)]
    run, of_set = ranked(rows)
    write_runs(tmp_path / "after.parquet", {"out_of_domain": {"own": run}})
    assert read_ranked(tmp_path / "after.parquet", "out_of_domain", rows) == of_set
    qrels, scored = judged(tmp_path, list(run_lines(of_set, "tag")), list(qrels_lines(rows)))
    values = read_metrics(tmp_path / "after.parquet")["out_of_domain"]["own"]
    for name, measure in MEASURES.items():
        found = {value.query_id: value.value for value in ir_measures.iter_calc([measure], qrels, scored)}
        expected = {row.query_id or text_id(row.query): value for row, value in zip(rows, values[name], strict=True)}
        assert found == pytest.approx(expected, abs=1e-6)


def test_without_grades_positives_count_1_and_negatives_0(tmp_path: Path) -> None:
    rows = [Row(f"q{n}", [f"p{n}", "p"], [f"n{n}{m}" for m in range(12)]) for n in range(20)]
    run, of_set = ranked(rows)
    qrels, scored = judged(tmp_path, list(run_lines(of_set, "tag")), list(qrels_lines(rows)))
    found = ir_measures.calc_aggregate([AP, RR @ 10, nDCG @ 10], qrels, scored)
    assert {name: found[measure] for name, measure in zip(MEASURES, (AP, RR @ 10, nDCG @ 10), strict=True)} == (
        pytest.approx(run.means(), abs=1e-6)
    )


def test_a_judgement_of_minus_1_in_the_source_counts_as_the_grade_0_that_decant_has_for_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [graded_row(number, rng) for number in range(30)]
    run, of_set = ranked(rows)
    lines = [line[:-1] + "-1" if line.endswith(" 0") else line for line in qrels_lines(rows)]
    assert sum(line.endswith(" -1") for line in lines) > 50
    qrels, scored = judged(tmp_path, list(run_lines(of_set, "tag")), lines)
    found = ir_measures.calc_aggregate(list(MEASURES.values()), qrels, scored)
    assert {name: found[measure] for name, measure in MEASURES.items()} == pytest.approx(run.means(), abs=1e-6)


def test_trec_eval_ranks_equal_scores_as_the_file_does(tmp_path: Path) -> None:
    """Each document in turn is the only positive: trec_eval's reciprocal rank must be that of the file's rank."""
    names = ["9", "10", "a", "Z", "é", "aa", "中", "-", "🙂", "A"]
    scores = [0.5] * 6 + [0.25] * 4
    for place, positive in enumerate(names):
        ids = [positive, *names[:place], *names[place + 1 :]]
        row = Row("q", [f"text {positive}"], [f"text {name}" for name in ids[1:]], query_id="q", ids=ids)
        of_set = RankedSet([row], [[scores[place], *scores[:place], *scores[place + 1 :]]])
        lines = list(run_lines(of_set, "tag"))
        [rank] = [int(line.split()[3]) for line in lines if line.split()[2] == positive]
        qrels, scored = judged(tmp_path, lines, list(qrels_lines([row])))
        assert ir_measures.pytrec_eval.calc_aggregate([RR], qrels, scored)[RR] == pytest.approx(1 / rank)


def test_lines_have_the_columns_of_trec_in_the_order_of_the_scores() -> None:
    row = Row("q", ["p"], ["n", "m"], grades=[3, 1, 0], query_id="7", ids=["d1", "", "d3"])
    assert list(run_lines(RankedSet([row], [[0.5, -1.25, 2.0]]), "embedding-after")) == [
        "7 Q0 d3 1 2 embedding-after",
        "7 Q0 d1 2 0.5 embedding-after",
        f"7 Q0 {text_id('n')} 3 -1.25 embedding-after",
    ]
    assert list(qrels_lines([row])) == ["7 0 d1 3", f"7 0 {text_id('n')} 1", "7 0 d3 0"]


def test_scores_come_back_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    scores = np.sort((rng.normal(size=200) * 10.0 ** rng.integers(-30, 30, 200)).astype(np.float32))[::-1]
    row = Row("q", ["p"], [f"n{number}" for number in range(199)])
    lines = run_lines(RankedSet([row], [scores.tolist()]), "tag")
    assert np.array([line.split()[4] for line in lines], dtype=np.float32).tobytes() == scores.tobytes()


def test_white_space_in_an_id_is_percent_encoded_and_nothing_else_is() -> None:
    row = Row("q", ["p"], ["n"], query_id="a b\t", ids=["x\u00a0y\n", "50%/<é>"])
    assert list(qrels_lines([row])) == ["a%20b%09 0 x%C2%A0y%0A 1", "a%20b%09 0 50%/<é> 0"]


@pytest.mark.parametrize(
    "rows, fault",
    [
        ([Row("q", ["p"], ["n"]), Row("q", ["r"], ["n"])], "the id of two rows' queries"),  # `duplicates: keep`
        ([Row("q", ["p"], ["n"], query_id="1"), Row("r", ["p"], ["n"], query_id="1")], "1 is the id of two rows"),
        ([Row("q", ["p"], ["n"], ids=["d", "d"])], "d is the id of two candidates of the query 'q'"),
        ([Row("q", ["p"], ["n"], ids=["d e", "d%20e"])], "d%20e is the id of two candidates"),
    ],
)
def test_what_trec_would_take_for_one_is_refused(rows: list[Row], fault: str) -> None:
    with pytest.raises(DecantError, match=fault):
        list(qrels_lines(rows))


@pytest.mark.parametrize(
    "rows, fault",
    [
        ([Row("q", ["p"], ["n"])], "it has 2 queries, and the test split has 1"),
        ([Row("q", ["p"], ["n"], grades=[2, 1]), Row("s", ["p"], ["n"])], "query 2 is 'r', and 's' in the split"),
        ([Row("q", ["p"], ["n"], grades=[2, 0]), Row("r", ["p"], ["n"])], "query 1, 'q', has other labels or grades"),
        ([Row("q", ["p"], ["n", "m"], grades=[2, 1, 0]), Row("r", ["p"], ["n"])], "query 1, 'q', has other labels"),
    ],
    ids=["fewer rows", "another query", "other grades", "more candidates"],
)
def test_a_run_of_another_test_split_is_refused(rows: list[Row], fault: str, tmp_path: Path) -> None:
    before = [Row("q", ["p"], ["n"], grades=[2, 1]), Row("r", ["p"], ["n"])]
    write_runs(tmp_path / "after.parquet", {"in_domain": {"own": ranked(before)[0]}})
    assert read_ranked(tmp_path / "after.parquet", "in_domain", before).rows == before
    with pytest.raises(DecantError, match=fault) as caught:
        read_ranked(tmp_path / "after.parquet", "in_domain", rows)
    assert "dvc repro" in caught.value.remedy


def test_a_run_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DecantError, match=r"after\.parquet is not there"):
        read_ranked(tmp_path / "after.parquet", "in_domain", [])
    write_runs(tmp_path / "bm25.parquet", {})
    with pytest.raises(DecantError, match="no run on the in-domain set"):
        read_ranked(tmp_path / "bm25.parquet", "in_domain", [])
