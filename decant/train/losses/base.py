"""What every loss gets: a batch of n-tuples, scored by the student."""

from typing import Literal, NamedTuple

from torch import Tensor, nn

from decant.train.columns import Labels
from decant.train.embeddings import TeacherEmbeddings


class Batch(NamedTuple):
    """A batch of n-tuples of a query, a positive and k negatives."""

    student: Tensor  # scores of the positive and the negatives, raw logits or cosines, shape (batch, 1 + k)
    labels: Labels  # the teacher's scores, the names of the texts, and which n-tuples are labelled
    embeddings: tuple[Tensor, ...] = ()  # a bi-encoder's, 2 + k tensors of shape (batch, dimension)
    teacher: TeacherEmbeddings | None = None  # its embeddings of the texts, where it has any
    projection: nn.Module | None = None  # of the student's embeddings to the teacher's dimension, where the two differ
    shortened: bool = False  # whether `student` and `embeddings` are of the embeddings' first numbers alone


def resolved(value: float | Literal["auto"]) -> float:
    """A scale of the settings, after `decant.train.scales.resolve` has replaced `auto`."""
    assert value != "auto"
    return value
