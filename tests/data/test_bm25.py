"""BM25 scores are those of its formula, and ties among candidates neither help nor harm it."""

from itertools import pairwise, permutations
from math import log

import numpy as np
import pytest

from decant.data.bm25 import BM25, K1, B
from decant.data.sets import Row, Split
from decant.evaluate.bm25 import BM25Scorer
from decant.evaluate.metrics.reciprocal_rank import measure
from decant.evaluate.run import Run, evaluate


def bm25_run(rows: list[Row]) -> Run:
    return evaluate(BM25Scorer(), Split(rows, ""))


def expected_reciprocal_rank(labels: list[int], scores: np.ndarray) -> float:
    return measure(np.array(labels, dtype=float), scores, "bm25")


CORPUS = ["Plantar wart", "Wart, unspecified", "Acute fever with fever blisters", "Left arm"]


def lucene(query: list[str], text: list[str], corpus: list[list[str]]) -> float:
    """The formula of Lucene: idf = ln(1 + (N − n + 0.5) / (n + 0.5)), tf / (tf + k1 · (1 − b + b · length / mean))."""
    mean = np.mean([len(one) for one in corpus])
    total = 0.0
    for word in query:
        holding = sum(word in one for one in corpus)
        idf = log(1 + (len(corpus) - holding + 0.5) / (holding + 0.5))
        frequency = text.count(word)
        total += idf * frequency / (frequency + K1 * (1 - B + B * len(text) / mean))
    return total


@pytest.mark.parametrize("query", ["Wart of the arm", "FEVER!", "plantar plantar", "nothing of these"])
def test_scores_are_those_of_the_formula(query):
    words = {text: text.lower().replace(",", "").split() for text in CORPUS}
    asked = query.lower().strip("!").split()
    expected = [lucene(asked, words[text], list(words.values())) for text in CORPUS]
    assert BM25(CORPUS).scores(query) == pytest.approx(expected, abs=1e-5)


def test_what_differs_in_case_and_punctuation_scores_alike():
    index = BM25(CORPUS)
    assert (index.scores("plantar WART!") == index.scores("Plantar, wart")).all()


def test_every_query_ranks_its_own_candidates_in_the_corpus_of_all():
    rows = [
        Row("plantar wart", ["Wart, unspecified"], ["Left arm", "Plantar wart"]),
        Row("fever", ["Acute fever with fever blisters"], ["Wart, unspecified"]),
    ]
    run = bm25_run(rows)
    corpus = ["Wart, unspecified", "Left arm", "Plantar wart", "Acute fever with fever blisters"]
    index = BM25(corpus)
    for row, scores in zip(rows, run.scores, strict=True):
        whole = dict(zip(corpus, index.scores(row.query), strict=True))
        assert scores.tolist() == [whole[text] for text in row.candidates]
    assert run.queries == ["plantar wart", "fever"]
    assert run.labels == [[1, 0, 0], [1, 0]]
    assert [metric["map"] for metric in run.metrics] == [0.5, 1.0]
    assert [metric["mrr@10"] for metric in run.metrics] == [0.5, 1.0]


def test_a_query_without_a_known_word_is_chance():
    run = bm25_run([Row("zzz", ["a"], ["b", "c", "d"])])
    assert run.scores[0].tolist() == [0, 0, 0, 0]
    assert run.metrics[0]["mrr@10"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert run.metrics[0]["map"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    "labels, scores",
    [
        ([1, 0, 0, 0], [1, 1, 1, 1]),
        ([1, 1, 0, 0], [0, 0, 0, 0]),
        ([1, 0, 0, 1, 0], [0, 2, 0, 0, 1]),
        ([0, 1, 1], [3, 2, 1]),  # no ties
        ([1, 1, 1], [0, 0, 0]),  # no negatives
        ([1, 0, 1, 0, 0, 0], [5, 5, 5, 1, 5, 1]),
    ],
)
def test_the_expected_reciprocal_rank_is_the_mean_over_all_orders_of_ties(labels, scores):
    orders = [
        order
        for order in permutations(range(len(scores)))
        if all(scores[one] >= scores[two] for one, two in pairwise(order))
    ]
    ranks = [1 / (1 + next(place for place, index in enumerate(order) if labels[index])) for order in orders]
    found = expected_reciprocal_rank(labels, np.array(scores, dtype=np.float32))
    assert found == pytest.approx(np.mean(ranks))


def test_the_expected_reciprocal_rank_ends_at_ten():
    scores = np.arange(12, 0, -1).astype(np.float32)
    assert expected_reciprocal_rank([0] * 10 + [1, 0], scores) == 0
    assert expected_reciprocal_rank([0] * 9 + [1, 0, 0], scores) == pytest.approx(0.1)
    tied = np.array([2.0] * 9 + [1.0] * 3, dtype=np.float32)  # places 10, 11 and 12 are tied
    assert expected_reciprocal_rank([0] * 9 + [1, 0, 0], tied) == pytest.approx(0.1 / 3)


def test_without_ties_it_is_the_reciprocal_rank():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.permutation(15).astype(np.float32)
        labels = [1, 1, *[0] * 13]
        assert expected_reciprocal_rank(labels, scores) == measure(np.array(labels, dtype=float), scores, "bi_encoder")
