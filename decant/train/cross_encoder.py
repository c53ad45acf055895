"""Train cross-encoders: the student's scores are raw logits."""

from typing import Any

import torch
from sentence_transformers import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.data_collator import CrossEncoderDataCollator
from torch import Tensor, nn

from decant.train.ahead import ReadsAhead
from decant.train.columns import Labels, unpack
from decant.train.distributed import SharedBatches
from decant.train.embeddings import TeacherEmbeddings
from decant.train.losses.base import Batch
from decant.train.losses.terms import weighted_terms
from decant.train.resume import ResumableTrainer
from decant.train.settings import Loss
from decant.train.unions import of_union, with_prompts

LOADER = "CrossEncoder"
PIPELINE = "text-ranking"
RAW = "logits, as `predict` and `rank` return them"


class CrossEncoderLoss(nn.Module):
    """The loss of a student whose score is a raw logit. All pairs of a batch go through the model at once.

    Args:
        model: the student.
        settings: of the loss, nothing in them `auto`.
    """

    def __init__(self, model: CrossEncoder, settings: Loss, _: TeacherEmbeddings | None = None) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def forward(self, features: list[dict[str, Tensor]], labels: Tensor, **_: Any) -> dict[str, Tensor]:
        """The weighted terms, from the tokens of all pairs (see `PairCollator`) and the packed labels."""
        logits = self.model(features[0])["scores"].view(len(labels), -1)
        return self.terms(logits, unpack(labels))

    def terms(self, logits: Tensor, labels: Labels) -> dict[str, Tensor]:
        """The weighted terms, from the student's raw logits of shape (batch, 1 + k)."""
        return weighted_terms(Batch(logits, labels), self.settings)


make_loss = CrossEncoderLoss


class PairCollator(CrossEncoderDataCollator):  # type: ignore[misc]
    """The library's collator, which also makes a batch's tokens: of each n-tuple's pairs, one n-tuple after another."""

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """The tokens of all pairs, and the packed labels (see `decant.train.columns`), shape (n-tuples, ·)."""
        batch = super().__call__(features)
        labels = torch.stack(batch.pop("label"))
        query, *candidates = batch.values()
        pairs = [(text, document) for text, *row in zip(query, *candidates, strict=True) for document in row]
        # A plain dict: DistributedDataParallel finds the outputs in no other mapping.
        return {"pairs": dict(self.preprocess_fn(pairs)), "label": labels}


class Trainer(SharedBatches, ReadsAhead, ResumableTrainer, CrossEncoderTrainer):  # type: ignore[misc]
    """The library's trainer of cross-encoders, shared between processes and resumable."""

    data_collator_class = PairCollator


def make_trainer(arguments: dict[str, Any], _: str, **common: Any) -> Trainer:
    """See `TrainingKind.make_trainer`; a cross-encoder has no prompt for the task to fill."""
    if of_union(common["train_dataset"]):
        common["train_dataset"] = with_prompts(common["train_dataset"], "", "")
    return Trainer(args=CrossEncoderTrainingArguments(**arguments), **common)
