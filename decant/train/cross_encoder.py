"""Train cross-encoders: the student's scores are raw logits."""

from typing import Any

import torch
from sentence_transformers import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.util import batch_to_device
from torch import Tensor, nn

from decant.train.columns import Labels, unpack
from decant.train.distributed import SharedBatches
from decant.train.embeddings import TeacherEmbeddings
from decant.train.losses.base import Batch
from decant.train.losses.terms import weighted_terms
from decant.train.resume import ResumableTrainer
from decant.train.settings import Loss

LOADER = "CrossEncoder"
PIPELINE = "text-ranking"


class CrossEncoderLoss(nn.Module):
    """The loss of a student whose score is a raw logit. All pairs of a batch go through the model at once.

    Args:
        model: the student.
        settings: of the loss, nothing in them `auto`.
    """

    def __init__(self, model: CrossEncoder, settings: Loss, _: TeacherEmbeddings | None = None) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def forward(self, inputs: list[list[str]], labels: Tensor | list[Tensor], **kwargs: Any) -> dict[str, Tensor]:
        """The weighted terms, from texts of shape (columns, batch) and the packed labels (see `decant.train.columns`).

        The labels are a tensor, or a list of its rows, as the library's collator of cross-encoders makes it.
        """
        query, *candidates = inputs
        pairs = [(text, document) for text, *row in zip(query, *candidates, strict=True) for document in row]
        # A plain dict: DistributedDataParallel finds the outputs in no other mapping.
        tokens = batch_to_device(dict(self.model.preprocess(pairs, **kwargs)), self.model.device)
        logits = self.model(tokens)["scores"].view(len(query), -1)
        return self.terms(logits, unpack(labels if isinstance(labels, Tensor) else torch.stack(labels)))

    def terms(self, logits: Tensor, labels: Labels) -> dict[str, Tensor]:
        """The weighted terms, from the student's raw logits of shape (batch, 1 + k)."""
        return weighted_terms(Batch(logits, labels), self.settings)


make_loss = CrossEncoderLoss


class Trainer(SharedBatches, ResumableTrainer, CrossEncoderTrainer):  # type: ignore[misc]
    """The library's trainer of cross-encoders, shared between processes and resumable."""


def make_trainer(arguments: dict[str, Any], _: str, **common: Any) -> Trainer:
    """See `TrainingKind.make_trainer`; a cross-encoder has no prompt for the task to fill."""
    return Trainer(args=CrossEncoderTrainingArguments(**arguments), **common)
