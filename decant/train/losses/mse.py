"""Squared differences between the student's and the teacher's scores (Ba & Caruana, arXiv:1312.6184)."""

from torch import Tensor
from torch.nn.functional import mse_loss

from decant.train.losses.base import Batch, resolved
from decant.train.settings import Loss


def distil(batch: Batch, settings: Loss) -> Tensor:
    """The mean over all candidates of the batch; the teacher's scores are multiplied by `teacher_scale`."""
    return mse_loss(batch.student, resolved(settings.teacher_scale) * batch.labels.scores)
