"""LambdaLoss on the teacher's order (Wang et al., The LambdaLoss Framework for Ranking Metric Optimization, CIKM 2018).

The scheme is NDCG-Loss2++, the paper's best: weights of LambdaRank and μ times those of NDCG-Loss2.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from decant.train.losses.base import Batch
from decant.train.settings import Loss

GRADES = 4.0  # of the teacher's best candidate; its gain is 2^4 − 1, and the last one's is 0
MU = 10.0  # the paper's


def distil(batch: Batch, _: Loss) -> Tensor:
    """−log₂ of the probability that the student orders a pair as the teacher does, weighted; mean over all pairs."""
    count = batch.student.shape[1]
    order = batch.labels.scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    grades = GRADES * (1 - order / (count - 1))
    scores, ranking = batch.student.float().sort(dim=1, descending=True)
    discount = (1 + torch.arange(1, count + 1, device=scores.device).float()).log2()  # by the student's rank
    best = ((2 ** grades.sort(dim=1, descending=True).values - 1) / discount).sum(dim=1, keepdim=True)
    grades = grades.gather(1, ranking)
    gain = (2**grades - 1) / best
    inverse = 1 / discount
    apart = (inverse[:-1] - inverse[1:]).abs()  # by distance in rank, from 1
    rank = torch.arange(count, device=scores.device)
    distance = (rank[:, None] - rank).abs()
    loss2 = torch.cat((torch.zeros(1, device=scores.device), apart))[distance]
    gains = _differences(gain).abs()
    weights = MU * (loss2 * gains) + (inverse[:, None] - inverse).abs() * gains
    losses = weights * logsigmoid(_differences(scores)) / math.log(2)
    return -losses[_differences(grades) > 0].mean()


def _differences(values: Tensor) -> Tensor:
    """Of each candidate's value and each other's, from shape (batch, n) to (batch, n, n)."""
    return values[:, :, None] - values[:, None, :]
