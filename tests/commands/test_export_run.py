"""`decant export-run` writes the run and the qrels that the project's folder holds."""

import shutil
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, nDCG

from decant.data.corpus import write_corpus
from decant.data.sets import Row, Split, write_split
from decant.evaluate.run import Run, run_from_scores, write_runs
from decant.retrieve.collection import read_collection
from decant.retrieve.run import Found, measured
from decant.retrieve.search import Ranking, nearest
from tests.support.processes import decant
from tests.support.project import ROOT
from tests.support.stored import quiet

ROWS = {
    name: [
        Row(f"{name} {n}", [f"p{n}"], ["n", "m", "ø"], grades=[2, 1, 0, 0], query_id=f"{name}-{n}") for n in range(5)
    ]
    for name in ("icd10", "pydocs")
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for name, rows in ROWS.items():
        write_split(tmp_path / f"data/sets/{name}/test.parquet", Split(rows, ""))
    write_runs(
        tmp_path / "data/runs/embedding/after.parquet",
        {"in_domain": {"icd10": run("icd10")}, "out_of_domain": {"pydocs": run("pydocs")}},
    )
    return tmp_path


def run(name: str) -> Run:
    scores = np.random.default_rng(len(name)).normal(size=20).astype(np.float32)
    return run_from_scores(ROWS[name], scores, "bi_encoder")


def command(folder: Path, *arguments: str, code: int = 0) -> str:
    done = decant(folder, "export-run", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_run_and_qrels_of_either_set_are_printed_or_written_and_give_the_metrics(folder: Path) -> None:
    for domain, name in (("in_domain", "icd10"), ("out_of_domain", "pydocs")):
        command(folder, "embedding", "after", "--domain", domain, "-o", "a.run")
        command(folder, "embedding", "after", "--domain", domain, "--qrels", "-o", "a.qrels")
        qrels = ir_measures.read_trec_qrels(str(folder / "a.qrels"))
        found = ir_measures.calc_aggregate(
            [AP(rel=2), nDCG @ 10], qrels, ir_measures.read_trec_run(str(folder / "a.run"))
        )
        means = run(name).means()
        assert [found[AP(rel=2)], found[nDCG @ 10]] == pytest.approx([means["map"], means["ndcg@10"]], abs=1e-6)
    printed = command(folder, "embedding", "after", "--domain", "out_of_domain")
    assert printed == (folder / "a.run").read_text(encoding="utf-8")
    assert printed.splitlines()[0].split()[0] == "pydocs-0"
    assert {line.split()[5] for line in printed.splitlines()} == {"embedding-after"}


@pytest.mark.parametrize(
    "arguments, fault, remedy",
    [
        (["titles", "after"], "TRACK titles: there is none", "embedding, reranker"),
        (["embedding", "best"], "MODEL best: there is none", "before, after"),
        (["embedding", "after", "--domain", "dev"], "--domain dev: there is none", "in_domain, out_of_domain"),
        (["embedding", "teacher"], "teacher.parquet is not there", "dvc repro evaluate_teacher@embedding"),
    ],
)
def test_a_fault_is_told_without_a_traceback(folder: Path, arguments: list[str], fault: str, remedy: str) -> None:
    told = command(folder, *arguments, code=1)
    assert fault in told
    assert remedy in told
    assert "Traceback" not in told


def test_a_set_fetched_anew_is_not_exported_with_the_run_of_the_earlier_one(folder: Path) -> None:
    write_split(folder / "data/sets/icd10/test.parquet", Split(ROWS["icd10"][::-1], ""))
    told = command(folder, "embedding", "after", "-o", "after.run", code=1)
    assert "not of the test split as it is now" in told
    assert "dvc repro" in told
    assert not (folder / "after.run").exists()


@pytest.mark.parametrize("asked", [None, 2])
def test_the_run_of_a_whole_corpus_gives_the_measures_that_the_stage_wrote(folder: Path, asked: int | None) -> None:
    """Also where it took some of the split's queries: those that were not asked are not judged."""
    write_corpus(folder / "corpus.parquet", [("own-0", "icd10 words of no query"), ("own-1", "p3"), ("own-2", "n m")])
    collection = read_collection(folder / "data/sets/icd10/test.parquet", folder / "corpus.parquet", asked)
    queries = np.random.default_rng(3).normal(size=(asked or 5, 3)).astype(np.float32)
    documents = np.random.default_rng(4).normal(size=(len(collection.texts), 3)).astype(np.float32)
    found = measured(collection, nearest(queries, documents, 100), 100)
    Found({"in_domain": {"icd10": found}}).write(folder / "data/retrieved/embedding/after.parquet", quiet)
    command(folder, "embedding", "after", "--corpus", "-o", "a.run")
    command(folder, "embedding", "after", "--corpus", "--qrels", "-o", "a.qrels")
    wanted = {"ndcg@10": nDCG @ 10, "mrr@10": RR(rel=2) @ 10, "recall@10": R(rel=2) @ 10, "map@100": AP(rel=2) @ 100}
    calculated = ir_measures.calc_aggregate(
        list(wanted.values()),
        ir_measures.read_trec_qrels(str(folder / "a.qrels")),
        ir_measures.read_trec_run(str(folder / "a.run")),
    )
    means = found.means()
    assert {name: calculated[measure] for name, measure in wanted.items()} == pytest.approx(
        {name: means[name] for name in wanted}, abs=1e-6
    )
    assert "own-0" in (folder / "a.run").read_text()
    assert "corpus was searched" in command(folder, "embedding", "before", "--corpus", code=1)
    said = command(folder, "embedding", "after", "--corpus", "--domain", "out_of_domain", code=1)
    assert "has no ranking on the out-of-domain set" in said
    write_split(folder / "data/sets/icd10/test.parquet", Split(ROWS["icd10"][5:], ""))
    assert "of its queries are not there" in command(folder, "embedding", "after", "--corpus", "--qrels", code=1)


def test_a_ranking_with_two_documents_of_one_id_is_refused(folder: Path) -> None:
    """trec_eval would take them for one."""
    write_corpus(folder / "corpus.parquet", [("x", "one"), ("x", "two")])
    collection = read_collection(folder / "data/sets/icd10/test.parquet", folder / "corpus.parquet")
    ranking = Ranking(np.array([1, 0]), np.array([2, 1], np.float32))
    found = measured(collection, [ranking] * 5, 100)
    Found({"in_domain": {"icd10": found}}).write(folder / "data/retrieved/embedding/after.parquet", quiet)
    assert "x is the id of two candidates" in command(folder, "embedding", "after", "--corpus", code=1)
