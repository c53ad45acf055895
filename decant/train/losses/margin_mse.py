"""MarginMSE: squared differences between the student's and the teacher's margins (Hofstätter et al., arXiv:2010.02666).

A margin is the positive's score less a negative's.
"""

from torch import Tensor
from torch.nn.functional import mse_loss

from decant.train.losses.base import Batch, resolved
from decant.train.settings import Loss


def distil(batch: Batch, settings: Loss) -> Tensor:
    """The mean over all negatives of the batch; the teacher's scores are multiplied by `teacher_scale`."""
    teacher = resolved(settings.teacher_scale) * batch.labels.scores
    return mse_loss(_margins(batch.student), _margins(teacher))


def _margins(scores: Tensor) -> Tensor:
    """From shape (batch, 1 + k) to (batch, k)."""
    return scores[:, :1] - scores[:, 1:]
