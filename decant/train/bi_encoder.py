"""Train bi-encoders: the student's scores are cosines of its embeddings."""

from collections.abc import Iterable
from typing import Any

import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.losses.merged_forward import embed_columns
from sentence_transformers.util import pairwise_cos_sim
from torch import Tensor, nn

from decant.errors import DecantError
from decant.models.prompts import choose_prompts
from decant.train.ahead import ReadsAhead
from decant.train.columns import Labels, unpack
from decant.train.distributed import SharedBatches, group_size
from decant.train.embeddings import TeacherEmbeddings
from decant.train.losses import LOSSES
from decant.train.losses.base import Batch
from decant.train.losses.terms import weighted_terms
from decant.train.resume import ResumableTrainer
from decant.train.settings import Loss
from decant.train.unions import of_union, with_prompts

LOADER = "SentenceTransformer"
PIPELINE = "sentence-similarity"
RAW = "cosines of embeddings"


class BiEncoderLoss(nn.Module):
    """The loss of a student whose score is a cosine.

    With `loss.dimensions` it is that of Matryoshka embeddings (Kusupati et al., arXiv:2205.13147): each term is the
    mean of those of the whole embeddings and of their first numbers, for each of the dimensions, all weighted alike.
    The paper and sentence-transformers' `MatryoshkaLoss` take the sum. The mean differs by a factor alone, and leaves
    the loss as large as it is without dimensions, for its curve and for the clipping of gradients at a length of 1.

    Args:
        model: the student.
        settings: of the loss, nothing in them `auto`.
        teacher: its embeddings of the texts. With them `false_negative_margin` holds for the batch's other candidates
            too.

    Raises:
        DecantError: several processes would each train a projection of their own, or the embeddings have no more
            numbers than they are to be shortened to.
    """

    def __init__(self, model: SentenceTransformer, settings: Loss, teacher: TeacherEmbeddings | None = None) -> None:
        super().__init__()
        self.model, self.settings, self.teacher = model, settings, teacher
        self.projection: nn.Linear | None = None
        dimension = model.get_embedding_dimension()
        if settings.dimensions is not None and settings.dimensions[0] >= dimension:
            raise DecantError(
                f"loss.dimensions: {settings.dimensions[0]} numbers are to do for the whole of an embedding, and the "
                f"student's have {dimension}, which are trained in any case",
                f"name dimensions below {dimension}",
            )
        if LOSSES[settings.name].embeddings and teacher is not None and teacher.dimension != dimension:
            if group_size() > 1:
                raise DecantError(
                    f"train.processes: {group_size()} processes would each train a projection of their own, of the "
                    f"student's embeddings ({dimension} numbers) to the teacher's",
                    "set train.processes to 1 for this track, or its loss.name to kl",
                )
            self.projection = nn.Linear(dimension, teacher.dimension, device=model.device)

    def forward(self, features: Iterable[dict[str, Tensor]], labels: Tensor) -> dict[str, Tensor]:
        """The weighted terms, from columns of tokens and the packed labels (see `decant.train.columns`)."""
        columns = embed_columns(self.model, list(features), separate_first=False)  # in one pass: padding costs nothing
        return self.terms(columns, unpack(labels))

    def terms(self, embeddings: list[Tensor], labels: Labels) -> dict[str, Tensor]:
        """The weighted terms, from embeddings of shape (columns, batch, dimension)."""
        shortened = ([text[:, :dimension] for text in embeddings] for dimension in self.settings.dimensions or ())
        nested = [self._terms(embeddings, labels), *(self._terms(each, labels, shortened=True) for each in shortened)]
        return {name: torch.stack([terms[name] for terms in nested]).mean() for name in nested[0]}

    def _terms(self, embeddings: list[Tensor], labels: Labels, *, shortened: bool = False) -> dict[str, Tensor]:
        query, *candidates = embeddings
        cosines = torch.stack([pairwise_cos_sim(query, text) for text in candidates], dim=1)
        batch = Batch(cosines, labels, tuple(embeddings), self.teacher, self.projection, shortened)
        return weighted_terms(batch, self.settings)


make_loss = BiEncoderLoss


class Trainer(SharedBatches, ReadsAhead, ResumableTrainer, SentenceTransformerTrainer):  # type: ignore[misc]
    """The library's trainer of bi-encoders, shared between processes and resumable."""


def make_trainer(arguments: dict[str, Any], task: str, **common: Any) -> Trainer:
    """See `TrainingKind.make_trainer`."""
    query, document = choose_prompts(common["model"].prompts)
    tuples = common["train_dataset"]
    prompts = {**dict.fromkeys(tuples.column_names, document), "query": query.replace("{task}", task)}
    if of_union(tuples):
        common["train_dataset"], prompts["query"] = with_prompts(tuples, query, task), ""
    return Trainer(args=SentenceTransformerTrainingArguments(**arguments, prompts=prompts), **common)
