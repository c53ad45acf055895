"""KL divergence of the student's distribution over an n-tuple's candidates from the teacher's.

Knowledge distillation (Hinton et al., arXiv:1503.02531) over a list, as in ListNet (Cao et al., ICML 2007).
"""

from torch import Tensor
from torch.nn.functional import kl_div

from decant.train.losses.base import Batch, resolved
from decant.train.settings import Loss


def distil(batch: Batch, settings: Loss) -> Tensor:
    """Σ q (log q − log p), mean over the batch: p the student's softmax at its temperature, q the teacher's.

    Not multiplied by the temperature squared: the gradient by the student's logits is p − q at every temperature, and
    the weight of the term on labels, whose gradient is p − y, means the same at each.
    """
    student = (batch.student / settings.student_temperature).log_softmax(dim=1)
    teacher = (batch.labels.scores / resolved(settings.teacher_temperature)).softmax(dim=1)
    return kl_div(student, teacher, reduction="batchmean")
