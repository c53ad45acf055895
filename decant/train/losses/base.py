"""What every loss gets: a batch of n-tuples, scored by the student."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from decant.train.columns import Labels
from decant.train.embeddings import TeacherEmbeddings


@dataclass(frozen=True)
class Batch:
    """A batch of n-tuples of a query, a positive and k negatives.

    Args:
        student: the student's scores of the positive and the negatives, raw logits or cosines, shape (batch, 1 + k).
        labels: the teacher's scores, the names of the texts, and which n-tuples are labelled.
        embeddings: a bi-encoder's of the queries, the positives and each column of negatives, 2 + k tensors of shape
            (batch, dimension).
        teacher: its embeddings of the texts, where it has any.
        projection: maps the student's embeddings to the teacher's dimension, where the two differ.
    """

    student: Tensor
    labels: Labels
    embeddings: tuple[Tensor, ...] = ()
    teacher: TeacherEmbeddings | None = None
    projection: nn.Module | None = None


def resolved(value: float | Literal["auto"]) -> float:
    """A scale of the settings, after `decant.train.scales.resolve` has replaced `auto`."""
    assert value != "auto"
    return value
