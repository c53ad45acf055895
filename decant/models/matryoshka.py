"""Shortened embeddings: a Matryoshka model's first numbers, at unit length (Kusupati et al., arXiv:2205.13147)."""

import numpy as np

from decant.errors import DecantError
from decant.models.scorer import Scores


def shorten(vectors: Scores, dimensions: int) -> Scores:
    """The first numbers of embeddings, of unit length; shape (texts, dimensions), of the same type.

    Raises:
        DecantError: they have fewer.
    """
    if vectors.shape[1] < dimensions:
        raise DecantError(
            f"the embeddings have {vectors.shape[1]} numbers, and {dimensions} of them are asked for",
            f"set `dimensions` to {vectors.shape[1]} or less, or to null",
        )
    first = vectors[:, :dimensions].astype(np.float32)
    lengths = np.linalg.norm(first, axis=1, keepdims=True)
    short: Scores = (first / lengths).astype(vectors.dtype)
    return short
