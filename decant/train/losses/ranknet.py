"""RankNet on the teacher's scores (Burges et al., Learning to Rank using Gradient Descent, ICML 2005).

Which of two candidates is the better one is the teacher's word; by how much is not.
"""

import math

from torch import Tensor
from torch.nn.functional import logsigmoid

from decant.train.losses.base import Batch
from decant.train.settings import Loss


def distil(batch: Batch, _: Loss) -> Tensor:
    """−log₂ of the probability that the student orders a pair as the teacher does, mean over all pairs.

    A pair that the teacher scores equally has no order; 0 where there is no other.
    """
    student, teacher = (scores[:, :, None] - scores[:, None, :] for scores in (batch.student, batch.labels.scores))
    losses = logsigmoid(student.float()[teacher > 0]) / math.log(2)
    return -losses.sum() / max(len(losses), 1)
