"""Every loss by its name: equal to the library's, weighted, on the n-tuples that it is of."""

from collections.abc import Callable
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
from decant.train.columns import Labels
from decant.train.embeddings import TeacherEmbeddings
from tests.support import students
from tests.support.loss_texts import COLUMNS, SCORES, labels_of, name_of, packed, teacher_of
from tests.support.made_losses import MAKES, SCALE, TT, T, given, loss_of, made, planar

GRADES = torch.tensor([[4.0, 2.0, 0.0], [2.0, 4.0, 0.0], [2.0, 0.0, 4.0]])  # by the order of SCORES
SAME, WIDE = 384, 512  # the student's embeddings have 384 numbers


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
