"""A search of a corpus is exact, and measured as the public evaluators measure it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, nDCG
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

from decant.data.corpus import write_corpus
from decant.data.sets import Row, Split, write_split
from decant.retrieve import search
from decant.retrieve.collection import Collection, read_collection
from decant.retrieve.encoders import Embedder, ModelEncoder, open_embedder
from decant.retrieve.run import Found, measured, retrieve, retrieve_bm25
from decant.retrieve.search import Ranking, kept_on_device, nearest
from decant.score.store import Store
from tests.support.encoded import encoded_texts
from tests.support.stored import quiet
from tests.support.tiny_models import WORDS, qwen3

MEASURES = {
    "ndcg@10": nDCG @ 10,
    "mrr@10": RR(rel=2) @ 10,
    "recall@10": R(rel=2) @ 10,
    "recall@100": R(rel=2) @ 100,
    "map@100": AP(rel=2) @ 100,
}


def texts(rng: np.random.Generator, count: int, start: int) -> list[str]:
    """Invented texts of four words and a number, no two of them equal."""
    return [f"{' '.join(rng.choice(WORDS[:40], 4))} {start + number}" for number in range(count)]


def make_collection(folder: Path, *, graded: bool) -> Collection:
    """Forty queries with candidates that share words with them, in a corpus of 400 documents beside these."""
    rng, rows = np.random.default_rng(0), list[Row]()
    for number in range(40):
        query, *candidates = texts(rng, 9, 100 * number)
        positives = [f"{query} {candidate}" for candidate in candidates[: 1 + number % 3]]
        negatives = candidates[3:]
        grades = [*rng.integers(2, 4, len(positives)).tolist(), *rng.integers(0, 2, len(negatives)).tolist()]
        rows.append(Row(query, positives, negatives, grades=grades if graded else []))
    write_split(folder / "test.parquet", Split(rows, "Find it"))
    write_corpus(folder / "corpus.parquet", [(f"d{n}", text) for n, text in enumerate(texts(rng, 400, 10_000))])
    return read_collection(folder / "test.parquet", folder / "corpus.parquet")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    folder = qwen3(tmp_path_factory.mktemp("tiny") / "model", embedding=True, planted=True)
    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture
def embedder(model: SentenceTransformer, tmp_path: Path) -> Iterator[Embedder]:
    with open_embedder(ModelEncoder(model, None, "tiny"), Store(tmp_path / "store", quiet), 64) as opened:
        yield opened


def test_measures_equal_the_librarys_evaluator(
    tmp_path: Path, model: SentenceTransformer, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(search, "DOCUMENTS_AT_ONCE", 90)
    collection = make_collection(tmp_path, graded=False)
    [found] = retrieve(collection, embedder, 100, ())
    rows = collection.split.rows
    evaluator = InformationRetrievalEvaluator(
        {str(number): row.query for number, row in enumerate(rows)},
        {str(place): text for place, text in enumerate(collection.texts)},
        {str(number): set(map(str, relevant)) for number, relevant in enumerate(collection.relevant)},
        mrr_at_k=[10],
        ndcg_at_k=[10],
        precision_recall_at_k=[10, 100],
        map_at_k=[100],
        write_csv=False,
        query_prompt=model.prompts["query"].replace("{task}", "Find it"),
    )
    expected = evaluator(model)
    for name, mean in found.means().items():
        assert mean == pytest.approx(expected[f"cosine_{name}"], abs=1e-6), name
    assert 0.3 < found.means()["ndcg@10"] < 1.0  # neither chance nor all right


def test_trec_eval_gives_the_measures_of_every_graded_query(tmp_path: Path, embedder: Embedder) -> None:
    collection = make_collection(tmp_path, graded=True)
    [found] = retrieve(collection, embedder, 100, ())
    run, qrels = [], []
    for number, (ranking, gains) in enumerate(zip(found.rankings, collection.gains, strict=True)):
        qrels += [ir_measures.Qrel(str(number), str(place), gain) for place, gain in gains.items()]
        run += [
            ir_measures.ScoredDoc(str(number), str(place), float(score))
            for place, score in zip(ranking.places, ranking.scores, strict=True)
        ]
    for name, measure in MEASURES.items():
        values = {value.query_id: value.value for value in ir_measures.iter_calc([measure], qrels, run)}
        for number, of_query in enumerate(found.measures):
            assert of_query[name] == pytest.approx(values[str(number)], abs=1e-6), (name, number)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_nearest_is_exact_whatever_the_blocks_and_equal_scores_keep_the_corpus_order(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "DOCUMENTS_AT_ONCE", block)
    rng = np.random.default_rng(1)
    documents, queries = rng.integers(-2, 3, (300, 4)), rng.integers(-3, 4, (5, 4))  # many scores are equal, and exact
    for ranking, scores in zip(
        nearest(queries.astype(np.float32), documents.astype(np.float32), 40), queries @ documents.T, strict=True
    ):
        order = np.argsort(-scores, kind="stable")
        assert ranking.scores.tolist() == scores[order[:40]].tolist()
        above = int((scores > scores[order[39]]).sum())  # those of the last score are more than have room
        assert 0 < above < 40
        assert ranking.places[:above].tolist() == order[:above].tolist()
        assert scores[ranking.places].tolist() == ranking.scores.tolist()
    assert len(nearest(queries.astype(np.float32), documents[:5].astype(np.float32), 10)[0].places) == 5
    [kept] = nearest(queries[:1].astype(np.float32), kept_on_device(documents), 40)  # of any precision
    [read] = nearest(queries[:1].astype(np.float32), documents, 40)
    assert kept.places.tolist() == read.places.tolist()


def test_the_query_itself_is_no_answer(tmp_path: Path, embedder: Embedder) -> None:
    rows = [Row("Fever of the heart!", ["acute fever"], ["a wart"])]
    write_split(tmp_path / "test.parquet", Split(rows, "Find it"))
    write_corpus(tmp_path / "corpus.parquet", [("own", "fever of the heart"), ("other", "chronic wart")])
    collection = read_collection(tmp_path / "test.parquet", tmp_path / "corpus.parquet")
    for found in (retrieve(collection, embedder, 100, ())[0], retrieve_bm25(collection, 100)):
        [row] = found.rows()
        assert "own" not in row["documents"]
        assert row["mrr@10"] == 1.0


def test_drawn_queries_search_the_corpus_of_all(tmp_path: Path) -> None:
    whole = make_collection(tmp_path, graded=True)
    drawn = read_collection(tmp_path / "test.parquet", tmp_path / "corpus.parquet", 15, seed=3)
    numbers = [whole.split.rows.index(row) for row in drawn.split.rows]
    assert len(numbers) == 15
    assert numbers == sorted(set(numbers)) != list(range(15))
    assert (drawn.texts, drawn.ids) == (whole.texts, whole.ids)
    for name in ("gains", "relevant", "own"):
        assert getattr(drawn, name) == [getattr(whole, name)[number] for number in numbers]
    assert read_collection(tmp_path / "test.parquet", tmp_path / "corpus.parquet", 15, seed=4).split != drawn.split
    assert read_collection(tmp_path / "test.parquet", tmp_path / "corpus.parquet", 40).split == whole.split


def test_candidates_stand_beside_the_corpus_and_each_text_once(tmp_path: Path) -> None:
    rows = [Row("a", ["in both", "judged alone"], ["in both too"], ids=["i", "", "j"], query_id="q")]
    write_split(tmp_path / "test.parquet", Split(rows, "Find it"))
    write_corpus(
        tmp_path / "corpus.parquet", [("1", "in both"), ("2", "in both"), ("3", "other"), ("4", "in both too")]
    )
    collection = read_collection(tmp_path / "test.parquet", tmp_path / "corpus.parquet")
    assert collection.texts == ["in both", "other", "in both too", "judged alone"]
    assert collection.ids == ["1", "3", "4", ""]
    assert collection.relevant == [{0, 3}]
    alone = read_collection(tmp_path / "test.parquet", None)
    assert alone.texts == ["in both", "judged alone", "in both too"]
    assert read_collection(tmp_path / "test.parquet", tmp_path / "nothing.parquet").texts == alone.texts


def test_shortened_embeddings_have_rankings_of_their_own(
    tmp_path: Path, model: SentenceTransformer, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = make_collection(tmp_path, graded=False)
    encoded = encoded_texts(model, monkeypatch)
    whole, short = retrieve(collection, embedder, 100, (8,))
    assert len(encoded) == len(set(encoded)) == len(collection.texts) + len(collection.split.rows)
    prompt = model.prompts["query"].replace("{task}", "Find it")
    queries = model.encode([row.query for row in collection.split.rows], prompt=prompt, truncate_dim=8)
    documents = model.encode(collection.texts, truncate_dim=8)
    lengths = np.linalg.norm(documents, axis=1)
    for ranking, query in zip(short.rankings, queries, strict=True):
        scores = documents @ query / lengths / np.linalg.norm(query)
        assert ranking.scores == pytest.approx(np.sort(scores)[::-1][:100], abs=1e-5)
    assert whole.means() != short.means()


def test_no_text_is_embedded_twice_and_another_model_shares_nothing(
    tmp_path: Path, model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, store = make_collection(tmp_path, graded=False), Store(tmp_path / "store", quiet)
    encoded = encoded_texts(model, monkeypatch)

    def run(dies_after: int | None = None) -> dict[str, Any]:
        encoder = ModelEncoder(model, None, "tiny")
        if dies_after is not None:
            whole = encoder.embed

            def embed(role: str, some: list[str], task: str) -> Any:
                if len(encoded) >= dies_after:
                    raise KeyboardInterrupt
                return whole(role, some, task)

            encoder.embed = embed
        with open_embedder(encoder, store, 64) as embedder:
            return retrieve(collection, embedder, 100, ())[0].means()

    with pytest.raises(KeyboardInterrupt):
        run(dies_after=200)
    half = len(encoded)
    means = run()
    assert 200 <= half < len(encoded) == len(set(encoded))
    encoded.clear()
    assert run() == means
    assert encoded == []
    weights = next(model.parameters())
    weights.data += 0.25
    try:
        run()
    finally:
        weights.data -= 0.25
    assert len(encoded) == len(collection.texts) + len(collection.split.rows)


def test_what_was_found_is_kept_by_ids(tmp_path: Path) -> None:
    collection = make_collection(tmp_path, graded=False)
    found = retrieve_bm25(collection, 100)
    means = Found({"in_domain": {"own": found}}).write(tmp_path / "bm25.parquet", quiet)
    assert means == {"in_domain": {"own": found.means()}}
    import pyarrow.parquet as pq

    written = pq.read_table(tmp_path / "bm25.parquet").to_pylist()
    assert [row["query"] for row in written] == [row.query for row in collection.split.rows]
    assert any(document.startswith("d") for row in written for document in row["documents"])
    assert written[0]["documents"] == next(iter(found.rows()))["documents"]


def test_a_text_of_two_ids_has_the_one_that_its_query_gives(tmp_path: Path) -> None:
    rows = [Row(name, ["one text"], [f"other {name}"], ids=[name, f"n{name}"], query_id=name) for name in "ab"]
    write_split(tmp_path / "test.parquet", Split(rows, ""))
    write_corpus(tmp_path / "corpus.parquet", [("b", "one text"), ("c", "a third")])
    collection = read_collection(tmp_path / "test.parquet", tmp_path / "corpus.parquet")
    first, second = measured(collection, [ranked_as(collection.texts)] * 2, 10).rows()
    assert first["documents"] == ["a", "c", "na", "nb"]
    assert second["documents"] == ["b", "c", "na", "nb"]


def test_a_query_that_is_judged_a_document_of_its_own_is_none_to_pass_over(tmp_path: Path) -> None:
    """Its grade is above 0 and below that of a positive: it counts in nDCG, whose best is then reached."""
    write_split(tmp_path / "test.parquet", Split([Row("a", ["b"], ["A", "c"], grades=[2, 1, 0])], ""))
    collection = read_collection(tmp_path / "test.parquet", None)
    found = measured(collection, [ranked_as(["b", "A", "c"])], 10)
    assert found.measures[0]["ndcg@10"] == 1
    assert found.rankings[0].places.tolist() == [0, 1, 2]


def ranked_as(texts: Sequence[str]) -> Ranking:
    return Ranking(np.arange(len(texts)), -np.arange(len(texts), dtype=np.float32))
