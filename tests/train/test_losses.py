"""Every loss by its name: equal to the library's, weighted, on the n-tuples that it is of."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
import torch
from sentence_transformers.cross_encoder.losses import LambdaLoss, ListNetLoss, MarginMSELoss, MSELoss, RankNetLoss
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss, DistillKLDivLoss, EmbedDistillLoss
from sentence_transformers.sentence_transformer.losses import MarginMSELoss as CosineMarginMSELoss
from sentence_transformers.util import pairwise_cos_sim
from torch import Tensor, nn

from decant.data.scores import Embeddings
from decant.models.kind import Model
from decant.train.columns import Labels
from decant.train.embeddings import TeacherEmbeddings
from tests.support import students
from tests.support.loss_texts import COLUMNS, SCORES, labels_of, name_of, packed, teacher_of

T, TT, SCALE = 0.25, 0.5, 3.0
GRADES = torch.tensor([[4.0, 2.0, 0.0], [2.0, 4.0, 0.0], [2.0, 0.0, 4.0]])  # by the order of SCORES
MAKES: dict[str, Callable[[], Model]] = {"embedding": students.bi_encoder, "reranker": students.cross_encoder}
SAME, WIDE = 384, 512  # the student's embeddings have 384 numbers


@cache
def made(track: str) -> Model:
    """A student without dropout, so that two passes agree, and with a head whose logits differ visibly."""
    model = MAKES[track]().eval()
    if track == "reranker":
        with torch.no_grad():
            model[0].model.classifier.weight.mul_(20)
    return model.cpu()


def loss_of(track: str, name: str, teacher: TeacherEmbeddings | None = None, **changes: Any) -> Any:
    values = {"student_temperature": T, "teacher_temperature": TT, "teacher_scale": SCALE, "label_weight": 0.0}
    return students.loss_of(made(track), teacher, **{"name": name, **values, **changes})


def features() -> list[dict[str, Tensor]]:
    return [dict(made("embedding").preprocess(column)) for column in COLUMNS]


class Tempered(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits / T


def list_net(model: Any) -> Tensor:
    texts = [COLUMNS[0], [list(row) for row in zip(*COLUMNS[1:], strict=True)]]
    target = SCORES / TT
    entropy = -(target.softmax(1) * target.log_softmax(1)).sum(1).mean()
    return ListNetLoss(model, Tempered())(texts, list(target)) - entropy


def on_pairs(loss: Callable[[list[Any], Tensor], Tensor], inputs: list[Any]) -> Tensor:
    """The mean over the columns of candidates of a loss on pairs."""
    parts = [loss([inputs[0], inputs[column + 1]], SCALE * SCORES[:, column]) for column in range(3)]
    return torch.stack(parts).mean()


def embed_distill(dimension: int, projection: dict[str, Tensor] | None) -> Tensor:
    loss = EmbedDistillLoss(made("embedding"), "cosine", projection_dim=None if projection is None else dimension)
    if projection is not None:
        loss.projection.load_state_dict(projection)
    teacher = teacher_of(dimension)
    vectors = [teacher.vectors(teacher.find("query", labels_of().texts[:, 0]))]
    vectors += [teacher.vectors(teacher.find("document", column)) for column in labels_of().texts[:, 1:].T]
    return loss(features(), torch.stack(vectors, dim=1))


LIBRARY: dict[tuple[str, str], Callable[[Any], Tensor]] = {
    ("embedding", "kl"): lambda model: (
        DistillKLDivLoss(model, similarity_fct=pairwise_cos_sim, student_temperature=T, teacher_temperature=TT)(
            features(), SCORES
        )
        / T**2
    ),
    ("embedding", "margin_mse"): lambda model: CosineMarginMSELoss(model, pairwise_cos_sim)(features(), SCALE * SCORES),
    ("embedding", "mse"): lambda model: on_pairs(CosineSimilarityLoss(model), features()),
    ("reranker", "kl"): list_net,
    ("reranker", "margin_mse"): lambda model: MarginMSELoss(model)(COLUMNS, SCALE * SCORES),
    ("reranker", "mse"): lambda model: on_pairs(MSELoss(model), COLUMNS),
    ("reranker", "lambda"): lambda model: LambdaLoss(model)(
        [COLUMNS[0], [list(row) for row in zip(*COLUMNS[1:], strict=True)]], list(GRADES)
    ),
    ("reranker", "ranknet"): lambda model: RankNetLoss(model)(
        [COLUMNS[0], [list(row) for row in zip(*COLUMNS[1:], strict=True)]], list(SCORES)
    ),
}


@pytest.mark.parametrize(("track", "name"), LIBRARY)
def test_a_loss_is_the_librarys_and_reaches_every_weight(track: str, name: str) -> None:
    """Model and all; tests/train/test_formulas.py compares more closely what is made of the scores."""
    model = made(track)
    alone = loss_of(track, name)(students.inputs_of(made(track), COLUMNS), packed())
    assert alone.keys() == {name}
    with torch.no_grad():
        assert float(alone[name]) == pytest.approx(float(LIBRARY[track, name](model)), rel=1e-5)
    model.zero_grad()
    alone[name].backward()
    for parameter, weight in model.named_parameters():
        unused = ".pooler." in parameter and track == "embedding"  # a bi-encoder takes the mean of the tokens
        assert (weight.grad is None) == unused, parameter
        # What moves all logits of a query alike leaves its distribution and its margins as they are.
        if not unused and not parameter.endswith(("key.bias", "classifier.bias")):
            assert weight.grad.abs().max() > 0, parameter  # type: ignore[union-attr]


@pytest.mark.parametrize("dimension", [SAME, WIDE])
def test_embed_distill_is_the_librarys_with_a_projection_where_dimensions_differ(dimension: int) -> None:
    loss = loss_of("embedding", "embed_distill", teacher_of(dimension))
    assert (loss.projection is None) == (dimension == SAME)
    projection = None if dimension == SAME else loss.projection.state_dict()
    made("embedding").zero_grad()
    (distance,) = loss(features(), packed()).values()
    with torch.no_grad():
        assert float(distance) == pytest.approx(float(embed_distill(dimension, projection)), rel=1e-5)
    distance.backward()
    reached = {name for name, weight in loss.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert {name for name, _ in loss.named_parameters() if ".pooler." not in name} == reached
    assert len([name for name in reached if "projection" in name]) == (0 if dimension == SAME else 2)


def test_texts_that_the_teacher_could_not_read_are_left_out() -> None:
    """The mean is over the others; an embedding of another role is not taken for it."""
    teacher = teacher_of(SAME)
    columns = [*COLUMNS[:2], ["no such text", *COLUMNS[2][1:]], COLUMNS[3]]
    with torch.no_grad():
        embeddings = [torch.randn(3, SAME, generator=torch.Generator().manual_seed(column)) for column in range(4)]
        loss = loss_of("embedding", "embed_distill", teacher)
        found = loss.terms(embeddings, labels_of(columns))["embed_distill"]
        each = []
        for place, column in enumerate(columns):
            for text, vector in zip(column, embeddings[place], strict=True):
                row = teacher.find("document" if place else "query", name_of(text))
                if row >= 0:
                    each.append(1 - torch.cosine_similarity(vector, teacher.vectors(row)[0], dim=0))
    assert len(each) == 11
    assert float(found) == pytest.approx(float(torch.stack(each).mean()), rel=1e-5)


def planar(cosines: Tensor) -> list[Tensor]:
    """Embeddings in the plane: the queries, and a column of candidates for each column of cosines."""
    sines = (1 - cosines**2).sqrt()
    query = torch.tensor([1.0, 0.0]).expand(len(cosines), 2)
    return [query, *(torch.stack(pair, dim=1) for pair in zip(cosines.T, sines.T, strict=True))]


@pytest.mark.parametrize("track", MAKES)
@pytest.mark.parametrize("temperature", [0.05, 1.0, 2.0])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_label_weight_means_the_same_at_every_temperature(track: str, temperature: float, weight: float) -> None:
    """In `kl` the gradient by the student's logits is p − ((1 − w) q + w y); a term of weight 0 is not there at all."""
    loss = loss_of(track, "kl", student_temperature=temperature, label_weight=weight)
    scores = torch.tensor([[0.1, -0.3, 0.4], [0.2, 0.0, -0.45], [-0.1, 0.4, 0.3]])
    logits = (scores / temperature).requires_grad_()
    given: Any = planar(logits * temperature) if track == "embedding" else logits * temperature
    terms = loss.terms(given, labels_of())
    assert terms.keys() == {*(["kl"] if weight < 1 else []), *(["contrastive"] if weight else [])}
    (gradient,) = torch.autograd.grad(sum(terms.values()), logits)
    target = (1 - weight) * torch.softmax(SCORES / TT, dim=1) + weight * torch.eye(3)[0]
    assert torch.allclose(gradient, (torch.softmax(logits, dim=1) - target) / 3, atol=1e-5)


def given(track: str, rows: slice = slice(None)) -> Any:
    """Embeddings or logits of the students, by hand."""
    cosines = torch.tensor([[0.1, -0.3, 0.4], [0.2, 0.0, -0.45], [-0.1, 0.4, 0.3]])[rows]
    return planar(cosines) if track == "embedding" else cosines * 5


@pytest.mark.parametrize("in_batch", [False, True])
@pytest.mark.parametrize("track", MAKES)
def test_what_has_no_label_adds_nothing_to_the_term_on_labels(track: str, in_batch: bool) -> None:
    """The third n-tuple is replayed: it is distilled, and neither a row nor anyone's negatives."""
    loss = loss_of(track, "kl", label_weight=0.5, in_batch=in_batch and track == "embedding")
    labels = labels_of(labelled=(True, True, False))
    terms = loss.terms(given(track), labels)
    some = loss.terms(given(track, slice(2)), Labels(*(part[:2] for part in labels)))
    assert float(terms["contrastive"]) == pytest.approx(float(some["contrastive"]), rel=1e-6)
    everything = loss.terms(given(track), labels_of())
    assert float(terms["kl"]) == pytest.approx(float(everything["kl"]), rel=1e-6)
    assert abs(terms["contrastive"] - everything["contrastive"]) > 1e-3
    cosines = torch.tensor([[0.1, 0.2, 0.3]] * 3).requires_grad_()
    inputs: Any = planar(cosines) if track == "embedding" else cosines
    nothing = loss.terms(inputs, labels_of(labelled=(False,) * 3))["contrastive"]
    (gradient,) = torch.autograd.grad(nothing, cosines)
    assert nothing == 0
    assert not gradient.any()


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


@pytest.mark.parametrize("track", MAKES)
def test_a_negative_that_the_teacher_holds_for_a_positive_is_none_of_the_term_on_labels(track: str) -> None:
    """In SCORES the second row's first negative and the third's second; the third's first is at the limit."""
    found = loss_of(track, "kl", label_weight=0.5, false_negative_margin=0.25).terms(given(track), labels_of())
    logits = torch.stack(given(track)[1:], dim=1)[..., 0] / T if track == "embedding" else given(track) / T
    kept = [[0, 1, 2], [0, 2], [0, 1]]
    expected = [-logits[row][columns].log_softmax(dim=0)[0] for row, columns in enumerate(kept)]
    assert float(found["contrastive"]) == pytest.approx(0.5 * float(torch.stack(expected).mean()), rel=1e-5)
    plain = loss_of(track, "kl", label_weight=0.5).terms(given(track), labels_of())
    assert torch.equal(found["kl"], plain["kl"])  # what is distilled are the scores of all


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


def test_a_teachers_embedding_is_found_by_role_and_text() -> None:
    vectors = torch.diag(torch.tensor([2.0, 3, 4])).numpy()
    teacher = TeacherEmbeddings(
        Embeddings(pa.array(["query", "document", "query"]), pa.array(["a", "a", "b"]), vectors)
    )
    wanted = torch.stack([name_of(text) for text in "abca"], dim=1)
    assert teacher.dimension == 3
    assert teacher.find("query", wanted).tolist() == [[0, 2, -1, 0]]
    assert teacher.find("document", wanted).tolist() == [[1, -1, -1, 1]]
    assert torch.equal(teacher.vectors(torch.tensor([2, 0])), torch.eye(3)[[2, 0]])  # of length 1
