"""Students that learn for shortened embeddings too: the library's loss, a teacher's similarities, chunks, the card."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss
from torch import Tensor

from decant.errors import DecantError
from decant.train.bi_encoder import BiEncoderLoss
from decant.train.chunking import encode_in_chunks
from decant.train.embeddings import TeacherEmbeddings
from decant.train.settings import Loss
from tests.support.loss_texts import COLUMNS, labels_of, packed, teacher_of
from tests.support.students import bi_encoder, inputs_of, loss_of
from tests.support.training_project import TrainingProject

WIDTH, DIMENSIONS = 384, [128, 32]


@pytest.fixture(scope="module")
def model() -> SentenceTransformer:
    return bi_encoder().to("cpu").eval()


def embedded() -> Tensor:
    """Embeddings at random of the columns' texts, shape (columns, batch, WIDTH)."""
    generator = torch.Generator().manual_seed(3)
    return torch.randn(len(COLUMNS), len(COLUMNS[0]), WIDTH, generator=generator).requires_grad_()


def gradients(model: SentenceTransformer, loss: torch.nn.Module) -> dict[str, Tensor]:
    model.zero_grad()
    terms = loss(inputs_of(model, COLUMNS), packed())
    (sum(terms.values()) if isinstance(terms, dict) else terms).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def close(found: dict[str, Tensor], expected: dict[str, Tensor], factor: float = 1.0) -> None:
    assert found.keys() == expected.keys()
    assert max(float(gradient.abs().max()) for gradient in expected.values()) > 1e-3
    for name, gradient in expected.items():
        assert torch.allclose(found[name], factor * gradient, rtol=1e-4, atol=2e-6), name


def test_the_loss_is_the_librarys_as_a_mean_instead_of_a_sum(model: SentenceTransformer) -> None:
    ours = loss_of(model, label_weight=1.0, in_batch=True, student_temperature=0.25, dimensions=DIMENSIONS)
    theirs = MatryoshkaLoss(model, MultipleNegativesRankingLoss(model, scale=4.0), [WIDTH, *DIMENSIONS])
    with torch.no_grad():
        found = ours(inputs_of(model, COLUMNS), packed())["contrastive"]
        assert torch.allclose(found, theirs(inputs_of(model, COLUMNS), None) / 3, atol=1e-5)
    close(gradients(model, ours), gradients(model, theirs), 1 / 3)


@pytest.mark.parametrize("changes", [{"name": "kl"}, {"name": "margin_mse"}, {"name": "kl", "spread_weight": 0.3}])
def test_every_term_is_the_mean_of_those_of_whole_and_shortened_embeddings(
    model: SentenceTransformer, changes: dict[str, Any]
) -> None:
    embeddings, labels = embedded().detach(), labels_of()
    nested = loss_of(model, **changes, dimensions=DIMENSIONS).terms(list(embeddings), labels)
    alone = [loss_of(model, **changes).terms(list(embeddings[..., :width]), labels) for width in (WIDTH, *DIMENSIONS)]
    assert nested.keys() == alone[0].keys()
    for name, term in nested.items():
        assert len({round(float(terms[name]), 4) for terms in alone}) == 3
        assert float(term) == pytest.approx(sum(float(terms[name]) for terms in alone) / 3, rel=1e-5)


def shortened_term(
    model: SentenceTransformer, teacher: TeacherEmbeddings, embeddings: Tensor, sides: str | None = None
) -> Tensor:
    """What `embed_distill` has of the first 32 numbers alone, from its means with them and without."""
    loss = loss_of(model, teacher, name="embed_distill", label_weight=0.0, dimensions=[32], sides=sides)
    both = loss.terms(list(embeddings), labels_of())["embed_distill"]
    loss.settings = loss.settings.model_copy(update={"dimensions": None})  # the same projection, where there is one
    whole: Tensor = loss.terms(list(embeddings), labels_of())["embed_distill"]
    return 2 * both - whole


def documents_of(embeddings: Tensor) -> Tensor:
    return embeddings[1:].flatten(0, 1)


@pytest.mark.parametrize("dimension", [WIDTH, 40])  # where the whole is projected
def test_shortened_embeddings_learn_how_the_teachers_cosines_vary(model: SentenceTransformer, dimension: int) -> None:
    teacher, embeddings = teacher_of(dimension), embedded()
    labels = labels_of()
    expected = []
    wide = teacher.vectors(teacher.find("document", labels.texts[:, 1:].T.flatten())).numpy()
    short = torch.nn.functional.normalize(documents_of(embeddings)[:, :32], dim=1).detach().numpy()
    for row in range(len(COLUMNS[0])):
        asked = teacher.vectors(teacher.find("query", labels.texts[row : row + 1, 0])).numpy()[0]
        own = torch.nn.functional.normalize(embeddings[0, row, :32], dim=0).detach().numpy()
        expected.append(1 - np.corrcoef(short @ own, wide @ asked)[0, 1])
    term = shortened_term(model, teacher, embeddings).detach()
    assert float(term) == pytest.approx(np.mean(expected), abs=1e-5)


def test_shortened_embeddings_do_not_depend_on_the_teachers_axes(model: SentenceTransformer) -> None:
    teacher = teacher_of(WIDTH)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, WIDTH)))
    turned = teacher_of(WIDTH)
    turned._vectors = teacher._vectors @ torch.from_numpy(turn.astype(np.float32))
    found, expected = (shortened_term(model, each, embedded().detach()) for each in (turned, teacher))
    assert float(found) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize(("sides", "free"), [("queries", slice(1, None)), ("documents", slice(1))])
def test_a_side_that_is_free_is_free_when_shortened_too(model: SentenceTransformer, sides: str, free: slice) -> None:
    embeddings = embedded()
    (found,) = torch.autograd.grad(shortened_term(model, teacher_of(WIDTH), embeddings, sides=sides), embeddings)
    assert found[free].abs().max() == 0
    assert found[..., :32].abs().max() > 1e-4
    assert found[..., 32:].abs().max() < 1e-6  # what the first numbers do not have


def test_texts_that_the_teacher_has_not_embedded_are_left_out(model: SentenceTransformer) -> None:
    without = {("query", "plum"), ("document", "a stone")}
    embeddings = embedded()
    (found,) = torch.autograd.grad(shortened_term(model, teacher_of(WIDTH, without=without), embeddings), embeddings)
    missing = [(0, COLUMNS[0].index("plum")), (2, COLUMNS[2].index("a stone"))]
    assert all(float(found[place].abs().max()) < 1e-6 for place in missing)
    assert (found[1, :, :32].abs().max(dim=1).values > 1e-4).all()
    others = [("query", text) for text in COLUMNS[0]], [("document", text) for column in COLUMNS[1:] for text in column]
    for unknown in others:
        term = shortened_term(model, teacher_of(WIDTH, without=unknown), embeddings.detach())
        assert float(term) == pytest.approx(0, abs=1e-6)


def test_the_cosine_of_a_single_document_has_nothing_to_vary_from(model: SentenceTransformer) -> None:
    others = {("document", text) for column in COLUMNS[1:] for text in column} - {("document", "a pear")}
    embeddings = embedded()
    term = shortened_term(model, teacher_of(WIDTH, without=others), embeddings)
    assert float(term.detach()) == pytest.approx(0, abs=1e-6)
    (found,) = torch.autograd.grad(term, embeddings)
    assert found.abs().max() < 1e-6


@pytest.mark.parametrize("dimensions", [[WIDTH], [512, 64]])
def test_dimensions_are_fewer_than_the_students(model: SentenceTransformer, dimensions: list[int]) -> None:
    with pytest.raises(DecantError, match=rf"{dimensions[0]} numbers are to do .* have 384.*\n.*below 384"):
        BiEncoderLoss(model, Loss(name="kl", dimensions=dimensions))
    BiEncoderLoss(model, Loss(name="kl", dimensions=[WIDTH - 1]))


@pytest.mark.parametrize("chunk", [1, 3, None])
@pytest.mark.parametrize("name", ["kl", "embed_distill"])
def test_chunks_give_the_same_gradients(name: str, chunk: int | None) -> None:
    found, expected = (bi_encoder().to("cpu").eval() for _ in range(2))
    encode_in_chunks(found, chunk)
    changes: dict[str, Any] = {"name": name, "in_batch": True, "spread_weight": 0.1, "dimensions": DIMENSIONS}
    losses = [loss_of(model, teacher_of(WIDTH), **changes) for model in (found, expected)]
    close(*(gradients(model, loss) for model, loss in zip((found, expected), losses, strict=True)))


def test_the_card_says_how_long_embeddings_may_be_and_how_to_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = TrainingProject(tmp_path, 0.0, epochs=1, evaluations=1)
    project.params["embedding"]["loss"]["dimensions"] = [96, 48]
    project.embeddings(WIDTH)
    project.train_here("embedding", monkeypatch)
    card = (tmp_path / "models/embedding/README.md").read_text()
    assert "Trained for shortened embeddings too, of the first 96, 48 numbers." in card
    (line,) = (line for line in card.splitlines() if "truncate_dim" in line)
    said: dict[str, Any] = {"SentenceTransformer": SentenceTransformer}
    exec(line, said)
    assert said["model"].encode(["a fig"], normalize_embeddings=True).shape == (1, 96)
    assert float(project.points("embedding", "loss.csv")[0]["embed_distill"]) > 0
    project.params["embedding"]["loss"]["dimensions"] = None
    project.set()
    project.train_here("embedding", monkeypatch)
    assert "truncate_dim" not in (tmp_path / "models/embedding/README.md").read_text()
