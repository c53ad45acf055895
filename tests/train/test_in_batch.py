"""Negatives from the rest of the batch: which texts are, and which are held for positives."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.loss_texts import labels_of, name_of, teacher_of
from tests.support.made_losses import T, loss_of

IN_BATCH = [
    ["apple", "pear", "sour", "apple"],  # the third asks for what the second's candidate says; the last asks again
    ["red", "green", "bitter", "ripe"],
    ["round", "red", "loud", "oval"],  # the second's negative is the first's positive
    ["old", "sour", "green", "big"],
]
# By row, the others' candidates that are negatives, as (row, column): not its own texts, not its query, and not the
# positives of its query's other n-tuple. A negative of the other n-tuple is one.
OTHERS = {
    0: [(1, 0), (1, 2), (2, 0), (2, 1), (2, 2), (3, 1), (3, 2)],
    1: [(0, 1), (0, 2), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)],
    2: [(0, 0), (0, 1), (0, 2), (1, 1), (3, 0), (3, 1), (3, 2)],
    3: [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)],
}


def by_hand(embeddings: list[Tensor], negatives: dict[int, list[tuple[int, int]]]) -> float:
    """The mean cross-entropy of the positive among its n-tuple's candidates and those named."""
    query, *candidates = embeddings
    total = 0.0
    for row, others in negatives.items():
        texts = [column[row] for column in candidates] + [candidates[column][other] for other, column in others]
        logits = torch.stack([torch.cosine_similarity(query[row], text, dim=0) for text in texts]) / T
        total -= float(logits.log_softmax(dim=0)[0])
    return total / len(negatives)


def random_embeddings(seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(4, 5, generator=generator) for _ in range(4)]


def test_in_batch_every_other_candidate_is_a_negative_but_known_texts() -> None:
    loss = loss_of("embedding", "kl", label_weight=1.0, in_batch=True)
    labels = labels_of(IN_BATCH, scores=torch.zeros(4, 3), labelled=(True,) * 4)
    found = loss.terms(random_embeddings(), labels)["contrastive"]
    assert float(found) == pytest.approx(by_hand(random_embeddings(), OTHERS), rel=1e-5)


def pairs_by_hand(names: list[str], false: set[tuple[int, int, int]]) -> dict[int, list[tuple[tuple[int, int], ...]]]:
    """For each n-tuple the further negatives, as two (column, row) each, without `false` ones (row, column, other).

    A text is known to an n-tuple that has it, and to one of a query of which it is a positive elsewhere.
    """
    rows = range(4)

    def known(row: int, column: int, other: int) -> bool:
        positives = {IN_BATCH[1][each] for each in rows if IN_BATCH[0][each] == IN_BATCH[0][row]}
        own = {texts[row] for texts in IN_BATCH}
        return IN_BATCH[column][other] in own | positives or (row, column, other) in false

    found: dict[int, list[tuple[tuple[int, int], ...]]] = {row: [] for row in rows}
    for row in rows:
        for other in rows:
            answers = known(other, 1, row)  # whether the n-tuple's positive may answer the other query
            if "query_query" in names and not (known(row, 0, other) or answers or known(row, 1, other)):
                found[row].append(((0, row), (0, other)))
            if "document_query" in names and not answers:
                found[row].append(((1, row), (0, other)))
            for column in (1, 2, 3):
                if "document_document" in names and not (answers or known(row, column, other)):
                    found[row].append(((1, row), (column, other)))
    return found


@pytest.mark.parametrize("with_teacher", [False, True])
@pytest.mark.parametrize(
    "names, without", [(["query_query"], 6), (["document_query"], 8), (["document_document"], 20), (None, 34)]
)
def test_pairs_of_a_batch_are_negatives_but_for_known_texts(
    names: list[Any] | None, without: int, with_teacher: bool
) -> None:
    """Here and there a positive answers another query: by the labels, or by the teacher's embeddings."""
    names = names or ["query_query", "document_query", "document_document"]
    teacher = teacher_of(6, IN_BATCH) if with_teacher else None
    false = set()
    if teacher is not None:
        named = labels_of(IN_BATCH, torch.zeros(4, 3)).texts
        queries = teacher.vectors(teacher.find("query", named[:, 0]))
        documents = teacher.vectors(teacher.find("document", named[:, 1:]).flatten())
        cosines = (queries @ documents.T).view(4, 4, 3)  # by query, n-tuple and column
        places = torch.cartesian_prod(torch.arange(4), torch.arange(4), torch.arange(3)).tolist()
        false = {(i, c + 1, j) for i, j, c in places if cosines[i, j, c] > cosines[i, i, 0] + 0.3}
    more = pairs_by_hand(names, false)
    count = sum(map(len, more.values()))
    assert (0 < count < without) if with_teacher else count == without
    texts = random_embeddings()
    total = 0.0
    for row, others in OTHERS.items():
        kept = [(other, column) for other, column in others if (row, column + 1, other) not in false]
        pairs = [((0, row), (column, row)) for column in (1, 2, 3)]
        pairs += [((0, row), (column + 1, other)) for other, column in kept]
        cosines = [torch.cosine_similarity(texts[a][i], texts[b][j], dim=0) for (a, i), (b, j) in [*pairs, *more[row]]]
        total -= float((torch.stack(cosines) / T).log_softmax(dim=0)[0]) / 4
    changes: dict[str, Any] = {"false_negative_margin": -0.3} if with_teacher else {}
    loss = loss_of("embedding", "kl", teacher, label_weight=1.0, in_batch=True, in_batch_pairs=names, **changes)
    scores = torch.tensor([1.0, 0.0, 0.0]).repeat(4, 1)  # within the n-tuples there are none
    found = loss.terms(texts, labels_of(IN_BATCH, scores=scores, labelled=(True,) * 4))["contrastive"]
    assert float(found) == pytest.approx(total, rel=1e-5)


def test_another_query_that_is_a_candidate_is_no_further_negative() -> None:
    """The first's negative is the second's query: the other way round there is one more pair."""
    labels = labels_of([["a", "b"], ["c", "d"], ["b", "e"]], torch.zeros(2, 2))
    texts = [column[:2] for column in random_embeddings()[:3]]
    loss = loss_of("embedding", "kl", label_weight=1.0, in_batch=True, in_batch_pairs=["query_query"])
    columns = torch.nn.functional.normalize(torch.stack(texts), dim=2)
    cosines = columns[0] @ columns.flatten(0, 1).T / T  # to a and b, c and d, b and e
    rows = [cosines[0, [2, 4, 3, 5]], cosines[1, [3, 5, 2, 0]]]  # e is a negative of a, and b none of itself
    expected = -torch.stack([row.log_softmax(dim=0)[0] for row in rows]).mean()
    assert float(loss.terms(texts, labels)["contrastive"]) == pytest.approx(float(expected), rel=1e-5)


def test_in_batch_the_teachers_embeddings_tell_false_negatives() -> None:
    """Of a query that the teacher could not read, and of such candidates, none is told."""
    teacher = teacher_of(6, IN_BATCH, without={("query", "pear"), ("document", "loud")})
    negatives: dict[int, list[tuple[int, int]]] = {}
    told = 0
    for row, others in OTHERS.items():
        negatives[row] = []
        for other, column in others:
            roles = ["query", "document", "document"]
            texts = [IN_BATCH[0][row], IN_BATCH[1][row], IN_BATCH[column + 1][other]]
            rows = [
                teacher.find(role, name_of(text))  # type: ignore[arg-type]
                for role, text in zip(roles, texts, strict=True)
            ]
            query, positive, candidate = (teacher.vectors(each)[0] for each in rows)
            false = min(rows) >= 0 and bool(query @ candidate > query @ positive - 0.3)
            told += false
            if not false:
                negatives[row].append((other, column))
    assert 3 < told < 18
    loss = loss_of("embedding", "kl", teacher, label_weight=1.0, in_batch=True, false_negative_margin=0.3)
    scores = torch.tensor([1.0, 0.0, 0.0]).repeat(4, 1)  # within the n-tuples there are none
    found = loss.terms(random_embeddings(), labels_of(IN_BATCH, scores=scores, labelled=(True,) * 4))
    assert float(found["contrastive"]) == pytest.approx(by_hand(random_embeddings(), negatives), rel=1e-5)
