"""The losses' formulas, on scores and embeddings at random, against the library's: values and gradients to 1e-6."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder.losses import LambdaLoss, ListNetLoss, MarginMSELoss, RankNetLoss
from sentence_transformers.sentence_transformer.losses import (
    DistillKLDivLoss,
    EmbedDistillLoss,
    GlobalOrthogonalRegularizationLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.losses import MarginMSELoss as CosineMarginMSELoss
from sentence_transformers.util import pairwise_cos_sim
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils._python_dispatch import TorchDispatchMode

from decant.train.bi_encoder import BiEncoderLoss
from decant.train.cross_encoder import CrossEncoderLoss
from decant.train.losses import LOSSES
from decant.train.losses.contrastive import _known
from decant.train.settings import Loss
from tests.support.loss_texts import labels_of, teacher_of

T, TT, SCALE = 0.25, 0.5, 3.0
SAME, WIDE = 12, 20  # numbers of the student's embedding, and of a larger teacher's
BATCH = 6


class Scored(CrossEncoder):  # type: ignore[misc]
    """Stands in for the model in a loss of the library's, which asks for the scores of pairs in their order."""

    num_labels = 1
    device = torch.device("cpu")

    def __init__(self, logits: Tensor) -> None:
        nn.Module.__init__(self)  # there is no model to load
        self.logits, self.place = logits.flatten(), 0

    def preprocess(self, pairs: Sequence[Any], **_: Any) -> dict[str, Tensor]:
        start, self.place = self.place, self.place + len(pairs)
        return {"scores": self.logits[start : self.place]}

    def forward(self, tokens: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        return tokens


class Embeds(nn.Module):
    """Stands in for a bi-encoder: losses ask it for its dimension and its device."""

    device = torch.device("cpu")

    def get_embedding_dimension(self) -> int:
        return SAME


def lists(logits: Tensor) -> list[Any]:
    return [[""] * len(logits), [[""] * logits.shape[1]] * len(logits)]


def list_net(logits: Tensor, scores: Tensor) -> Tensor:
    target = scores / TT
    entropy = -(target.softmax(1) * target.log_softmax(1)).sum(1).mean()
    return ListNetLoss(Scored(logits / T))(lists(logits), list(target)) - entropy


def lambda_loss(logits: Tensor, scores: Tensor) -> Tensor:
    order = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    grades = 4 * (1 - order / (logits.shape[1] - 1))
    return LambdaLoss(Scored(logits))(lists(logits), list(grades))


OF_LOGITS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "kl": list_net,
    "margin_mse": lambda logits, scores: MarginMSELoss(Scored(logits.T))(
        [[""] * len(logits)] * (1 + logits.shape[1]), SCALE * scores
    ),
    "mse": lambda logits, scores: mse_loss(logits, SCALE * scores),
    "lambda": lambda_loss,
    "ranknet": lambda logits, scores: RankNetLoss(Scored(logits))(lists(logits), list(scores)),
}


def divergence(embeddings: list[Tensor], scores: Tensor) -> Tensor:
    loss = DistillKLDivLoss(Embeds(), pairwise_cos_sim, student_temperature=T, teacher_temperature=TT)
    return loss.compute_loss_from_embeddings(embeddings, scores) / T**2


def cosine_mse(embeddings: list[Tensor], scores: Tensor) -> Tensor:
    cosines = [pairwise_cos_sim(embeddings[0], candidate) for candidate in embeddings[1:]]
    return mse_loss(torch.stack(cosines, dim=1), SCALE * scores)


OF_EMBEDDINGS: dict[str, Callable[[list[Tensor], Tensor], Tensor]] = {
    "kl": divergence,
    "margin_mse": lambda embeddings, scores: CosineMarginMSELoss(
        Embeds(), pairwise_cos_sim
    ).compute_loss_from_embeddings(embeddings, SCALE * scores),
    "mse": cosine_mse,
}


def settings(name: str, **changes: Any) -> Loss:
    return Loss(name=name, student_temperature=T, teacher_temperature=TT, teacher_scale=SCALE, **changes)


def drawn(negatives: int) -> tuple[list[list[str]], Tensor]:
    """Columns of texts, and scores of which two of a row are sometimes equal."""
    columns = [[f"{column}.{row}" for row in range(BATCH)] for column in range(2 + negatives)]
    return columns, torch.randn(BATCH, 1 + negatives, generator=torch.Generator().manual_seed(negatives)).round(
        decimals=1
    )


def compare(ours: Tensor, theirs: Tensor, inputs: Tensor) -> None:
    assert torch.allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    (found,), (expected,) = (torch.autograd.grad(loss, inputs) for loss in (ours, theirs))
    assert expected.abs().max() > 1e-3
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("negatives", [1, 2, 7])
@pytest.mark.parametrize("name", OF_LOGITS)
def test_a_formula_on_logits_is_the_librarys(name: str, negatives: int) -> None:
    columns, scores = drawn(negatives)
    logits = torch.randn(BATCH, 1 + negatives, generator=torch.Generator().manual_seed(9)).requires_grad_()
    loss = CrossEncoderLoss(Embeds(), settings(name))
    (term,) = loss.terms(logits, labels_of(columns, scores)).values()
    compare(term, OF_LOGITS[name](logits, scores), logits)


@pytest.mark.parametrize("negatives", [1, 2, 7])
@pytest.mark.parametrize("name", OF_EMBEDDINGS)
def test_a_formula_on_cosines_is_the_librarys(name: str, negatives: int) -> None:
    columns, scores = drawn(negatives)
    embeddings = embedded(negatives)
    loss = BiEncoderLoss(Embeds(), settings(name))
    (term,) = loss.terms(list(embeddings), labels_of(columns, scores)).values()
    compare(term, OF_EMBEDDINGS[name](list(embeddings), scores), embeddings)


def embedded(negatives: int) -> Tensor:
    return torch.randn(2 + negatives, BATCH, SAME, generator=torch.Generator().manual_seed(9)).requires_grad_()


@pytest.mark.parametrize("dimension", [SAME, WIDE])
def test_embed_distill_is_the_librarys(dimension: int) -> None:
    columns, scores = drawn(2)
    embeddings, teacher, labels = embedded(2), teacher_of(dimension, columns), labels_of(columns, scores)
    ours = BiEncoderLoss(Embeds(), settings("embed_distill"), teacher)
    theirs = EmbedDistillLoss(Embeds(), "cosine", projection_dim=None if dimension == SAME else dimension)
    if ours.projection is not None:
        theirs.projection.load_state_dict(ours.projection.state_dict())
    targets = [teacher.vectors(teacher.find("query", labels.texts[:, 0]))]
    targets += [teacher.vectors(teacher.find("document", column)) for column in labels.texts[:, 1:].T]
    (term,) = ours.terms(list(embeddings), labels).values()
    compare(term, theirs.compute_loss_from_embeddings(list(embeddings), targets), embeddings)


def test_candidates_that_the_teacher_scores_equally_have_no_order() -> None:
    """RankNet of no pair is 0, with a gradient."""
    columns, _ = drawn(2)
    logits = torch.randn(BATCH, 3).requires_grad_()
    (term,) = (
        CrossEncoderLoss(Embeds(), settings("ranknet")).terms(logits, labels_of(columns, torch.ones(BATCH, 3))).values()
    )
    (gradient,) = torch.autograd.grad(term, logits)
    assert float(term.detach()) == 0
    assert not gradient.any()


@pytest.mark.parametrize("side", ["queries", "documents"])
@pytest.mark.parametrize("dimension", [SAME, WIDE])
def test_of_one_side_embed_distill_is_the_librarys_on_it(side: Any, dimension: int) -> None:
    """The other side has no gradient."""
    columns, scores = drawn(2)
    embeddings, teacher, labels = embedded(2), teacher_of(dimension, columns), labels_of(columns, scores)
    ours = BiEncoderLoss(Embeds(), settings("embed_distill", sides=side), teacher)
    theirs = EmbedDistillLoss(Embeds(), "cosine", projection_dim=None if dimension == SAME else dimension)
    if ours.projection is not None:
        theirs.projection.load_state_dict(ours.projection.state_dict())
    held = slice(1) if side == "queries" else slice(1, None)
    role: Any = "query" if side == "queries" else "document"
    targets = [teacher.vectors(teacher.find(role, column)) for column in labels.texts.T[held]]
    (term,) = ours.terms(list(embeddings), labels).values()
    compare(term, theirs.compute_loss_from_embeddings(list(embeddings[held]), targets), embeddings)


@pytest.mark.parametrize("negatives", [1, 3])
@pytest.mark.parametrize("shift", [0.0, 2.0])  # cosines as of random vectors, and all high
def test_the_spread_of_distinct_documents_is_the_librarys(negatives: int, shift: float) -> None:
    columns, scores = drawn(negatives)
    embeddings = (embedded(negatives).detach() + shift).requires_grad_()
    loss = BiEncoderLoss(Embeds(), settings("kl", spread_weight=0.3))
    term = loss.terms(list(embeddings), labels_of(columns, scores))["spread"]
    theirs = GlobalOrthogonalRegularizationLoss(Embeds()).compute_loss_from_embeddings(list(embeddings[1:]))
    compare(term, 0.3 * sum(theirs.values()), embeddings)


def test_equal_documents_and_those_of_one_query_are_not_pushed_apart() -> None:
    columns = [["q1", "q1", "q2", "q3"], ["a", "b", "c", "a"], ["d", "e", "f", "g"]]
    generator = torch.Generator().manual_seed(0)
    embeddings = [torch.randn(4, SAME, generator=generator) + 1 for _ in columns]
    loss = BiEncoderLoss(Embeds(), settings("kl", spread_weight=1.0))
    found = loss.terms(embeddings, labels_of(columns, torch.rand(4, 2)))["spread"]
    total = 0.0
    for column, pairs in ((1, [(0, 2), (1, 2), (1, 3), (2, 3)]), (2, [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])):
        cosines = [float(torch.cosine_similarity(*embeddings[column][list(pair)], dim=0)) for pair in pairs]
        mean, square = (sum(values) / len(pairs) for values in (cosines, [cosine**2 for cosine in cosines]))
        assert square > 1 / SAME
        total += (mean**2 + square - 1 / SAME) / 2
    assert float(found) == pytest.approx(total, rel=1e-5)
    alone = loss.terms(
        [column[:2] for column in embeddings], labels_of([column[:2] for column in columns], torch.rand(2, 2))
    )
    assert float(alone["spread"]) == 0


OF_SIDES = {"query_query": "query_to_query", "document_document": "doc_to_doc"}


@pytest.mark.parametrize("negatives", [1, 3])
@pytest.mark.parametrize("pairs", [None, ["query_query"], ["document_document"], ["query_query", "document_document"]])
def test_in_batch_the_term_on_labels_is_the_librarys(pairs: list[Any] | None, negatives: int) -> None:
    """Of texts that are all distinct."""
    columns, scores = drawn(negatives)
    embeddings = embedded(negatives)
    loss = BiEncoderLoss(Embeds(), settings("kl", label_weight=1.0, in_batch=True, in_batch_pairs=pairs))
    (term,) = loss.terms(list(embeddings), labels_of(columns, scores)).values()
    directions: Any = ("query_to_doc", *(OF_SIDES[pair] for pair in pairs or ()))
    theirs = MultipleNegativesRankingLoss(Embeds(), scale=1 / T, directions=directions)
    compare(term, theirs.compute_loss_from_embeddings(list(embeddings), scores), embeddings)


def test_every_loss_of_the_registry_is_compared_for_each_kind_of_student() -> None:
    compared = {(name, "cross_encoder") for name in OF_LOGITS}
    compared |= {(name, "bi_encoder") for name in (*OF_EMBEDDINGS, "embed_distill")}
    assert compared == {(name, kind) for name, loss in LOSSES.items() for kind in loss.kinds}


def known_by_comparison(texts: Tensor) -> Tensor:
    """The same as `_known`, every text compared with every other: batch² · batch · (1 + k) booleans."""
    candidates = texts.T.flatten()
    same_query = texts[:, :1] == texts[:, 0]
    of_query = (texts[:, 1:2] == candidates) & same_query[:, :, None]  # by query, n-tuple and candidate
    return (texts[:, :, None] == candidates).any(dim=1) | of_query.any(dim=1)


class LargestTensor(TorchDispatchMode):
    """Measures the largest tensor, in bytes, that an operation makes."""

    bytes = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        for each in made if isinstance(made, tuple | list) else (made,):
            if isinstance(each, Tensor):
                self.bytes = max(self.bytes, each.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize("size", [0, 1, 2, 17])
def test_known_texts_are_those_of_a_comparison_of_all_with_all(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    for distinct in (1, 4, 30, 10**6):
        texts = torch.randint(-distinct, distinct, (size, 5), generator=generator) * 10**12
        assert torch.equal(_known(texts), known_by_comparison(texts))


def test_the_search_for_known_texts_holds_a_few_bytes_a_pair() -> None:
    """Of a query and a text: at batch 512 with 8 negatives a comparison of all with all makes 1.2 GB."""
    batch, negatives = 256, 8
    texts = torch.randint(0, 10**6, (batch, 2 + negatives), generator=torch.Generator().manual_seed(0))
    for search, bytes_a_pair in ((_known, 2), (known_by_comparison, batch)):
        with LargestTensor() as largest:
            search(texts)
        pairs = batch * batch * (2 + negatives)
        assert largest.bytes <= bytes_a_pair * pairs
        assert (largest.bytes > 2 * pairs) == (search != _known)
