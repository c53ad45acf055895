"""The spread-out term: global orthogonal regularisation (Zhang et al., arXiv:1708.06320) of a batch's documents.

Of vectors drawn evenly from the sphere, the cosines have mean 0 and mean square 1 / dimension.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from decant.train.losses.base import Batch


def spread(batch: Batch) -> Tensor:
    """The squared mean of the cosines + what their mean square has above 1 / dimension.

    The cosines are of documents at one place of their n-tuples (the positives, the first negatives, …), all pairs but
    equal texts and those of equal queries; the mean over the places is taken.
    """
    texts = batch.labels.texts
    terms = []
    for embeddings, names in zip(batch.embeddings[1:], texts.T[1:], strict=True):
        vectors = normalize(embeddings, dim=1)
        apart = (names[:, None] != names) & (texts[:, :1] != texts[:, 0])
        cosines, count = (vectors @ vectors.T) * apart, apart.sum().clamp(min=1)
        square = (cosines**2).sum() / count
        terms.append((cosines.sum() / count) ** 2 + (square - 1 / vectors.shape[1]).relu())
    return torch.stack(terms).mean()
