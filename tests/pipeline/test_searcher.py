"""The reranker's candidates are mined by the distilled embedding student, which DVC trains first."""

import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer, util

from decant.data.sets import normalise, read_split
from tests.support.project import Project, ran

SEARCHER = {"mine": {"method": "student", "candidates": 2}, "searcher": "embedding"}


@pytest.fixture(scope="module")
def mined(pipeline: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, set[str]]:
    """A project whose reranker mines by the other student, trained otherwise; and the stages that ran."""
    project = pipeline.copy(tmp_path_factory.mktemp("searcher") / "a project")

    def edit(params: dict) -> None:
        params["reranker"].update(SEARCHER)
        params["embedding"]["train"]["batch_size"] = 8

    project.edit_params(edit)
    return project, ran(project.dvc("repro", "mine@reranker"))


def test_the_searcher_is_trained_before_what_it_finds_is_mined(mined: tuple[Project, set[str]]) -> None:
    project, stages = mined
    assert {"train@embedding", "mine@reranker"} <= stages
    assert not {"score@reranker", "train@reranker", "mine@embedding"} & stages
    lines = project.dvc("dag", "--dot", "mine@reranker")
    assert '"train@embedding" -> "mine@reranker"' in lines


def test_what_it_finds_first_is_mined(mined: tuple[Project, set[str]]) -> None:
    folder = mined[0].folder
    train, filled = (
        read_split(folder / "data/sets/pydocs/train.parquet"),
        pq.read_table(folder / "data/mined/reranker.parquet"),
    )
    model = SentenceTransformer(str(folder / "models/embedding"))
    held_out = {
        normalise(text)
        for path in ("pydocs/dev", "pydocs/test", "icd10/test")
        for row in read_split(folder / f"data/sets/{path}.parquet").rows
        for text in (row.query, *row.candidates)
    }
    related: dict[str, set[str]] = {}
    for row in train.rows:
        for text in row.positive:
            related.setdefault(row.query, set()).add(text)
            related.setdefault(text, set()).add(row.query)
    corpus = {normalise(text): text for row in reversed(train.rows) for text in reversed((row.query, *row.candidates))}
    texts = [text for folded, text in corpus.items() if folded not in held_out]
    embedded = model.encode_document(texts, convert_to_tensor=True)
    for row, negatives in list(zip(train.rows, filled["negative"].to_pylist(), strict=True))[:10]:
        known = {normalise(text) for text in (row.query, *row.candidates, *related[row.query])}
        asked = model.encode_query([row.query], convert_to_tensor=True)
        [hits] = util.semantic_search(asked, embedded, top_k=40)
        best = [texts[hit["corpus_id"]] for hit in hits if normalise(texts[hit["corpus_id"]]) not in known]
        assert [normalise(text) for text in negatives[len(row.negative) :]] == [normalise(text) for text in best[:2]]
