"""The distillation losses: the library's own, each mixed with a contrastive term on the labels.

Both are (1 − w) · distillation + w · contrastive, where w is `label_weight`: 0 is the teacher alone, 1 the labels
alone. The first candidate of each n-tuple is its positive.
"""

from collections.abc import Iterator
from typing import Any

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.cross_encoder.losses import MarginMSELoss
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss
from sentence_transformers.util import batch_to_device, pairwise_cos_sim
from torch import Tensor
from torch.nn.functional import cross_entropy


class LabelledKLDivLoss(DistillKLDivLoss):  # type: ignore[misc]
    """KL divergence of the student's distribution over an n-tuple from the teacher's, with a term on the labels.

    The library scales its loss by the student temperature squared (Hinton et al., arXiv:1503.02531), which makes the
    weight of any other term depend on the temperature. Here that factor is divided out: the gradient with respect to
    the student's logits (cosine / temperature) is p_student − ((1 − w) · p_teacher + w · label), at every temperature.

    Args:
        model: the student.
        student_temperature: divides the student's cosines.
        teacher_temperature: divides the teacher's scores.
        label_weight: w, from 0 to 1.
    """

    def __init__(
        self, model: SentenceTransformer, student_temperature: float, teacher_temperature: float, label_weight: float
    ) -> None:
        super().__init__(
            model,
            similarity_fct=pairwise_cos_sim,
            student_temperature=student_temperature,
            teacher_temperature=teacher_temperature,
        )
        self.label_weight = label_weight

    def compute_loss_from_embeddings(self, embeddings: list[Tensor], labels: Tensor) -> dict[str, Tensor]:
        """The two weighted terms, from embeddings of shape (columns, batch, dimension) and scores (batch, 1 + k)."""
        divergence = super().compute_loss_from_embeddings(embeddings, labels) / self.student_temperature**2
        query, *candidates = embeddings
        logits = (
            torch.stack([self.similarity_fct(query, text) for text in candidates], dim=1) / self.student_temperature
        )
        return _mix(self.label_weight, "kl", divergence, logits)


class LabelledMarginMSELoss(MarginMSELoss):  # type: ignore[misc]
    """MarginMSE on an n-tuple (Hofstätter et al., arXiv:2010.02666), with a term on the labels.

    Args:
        model: the student, whose score is a raw logit.
        label_weight: w, from 0 to 1.
        merged: whether all columns go through the model at once, as `decant.chunking` wants them, or one by one.
    """

    def __init__(self, model: CrossEncoder, label_weight: float, merged: bool = False) -> None:
        super().__init__(model)
        self.label_weight = label_weight
        self.merged = merged
        self._columns: Iterator[Tensor] = iter(())
        self._logits: list[Tensor] = []

    def logits_from_pairs(self, pairs: list[tuple[str, str]], **kwargs: Any) -> Tensor:
        """The logits of one column, shape (batch,), kept for the term on the labels."""
        logits = next(self._columns) if self.merged else self._score(pairs, **kwargs)
        self._logits.append(logits)
        return logits

    def _score(self, pairs: list[tuple[str, str]], **kwargs: Any) -> Tensor:
        # As the library does, but from a plain dict: DistributedDataParallel finds the outputs in no other mapping.
        inputs = batch_to_device(dict(self.model.preprocess(pairs, **kwargs)), self.model.device)
        logits: Tensor = self.activation_fn(self.model(inputs)["scores"].view(-1))
        return logits

    def forward(self, inputs: list[list[str]], labels: Tensor | list[Tensor], **kwargs: Any) -> dict[str, Tensor]:
        """The two weighted terms, from texts of shape (columns, batch) and scores (batch, 1 + k)."""
        self._logits.clear()
        if self.merged:
            query, *candidates = inputs
            pairs = [pair for column in candidates for pair in zip(query, column, strict=True)]
            self._columns = iter(self._score(pairs, **kwargs).view(len(candidates), -1))
        margin_mse = super().forward(inputs, labels, **kwargs)
        logits = torch.stack(self._logits, dim=1)
        self._logits.clear()
        return _mix(self.label_weight, "margin_mse", margin_mse, logits)


def _mix(weight: float, name: str, distillation: Tensor, logits: Tensor) -> dict[str, Tensor]:
    positive = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    contrastive = cross_entropy(logits, positive)
    return {name: (1 - weight) * distillation, "contrastive": weight * contrastive}
