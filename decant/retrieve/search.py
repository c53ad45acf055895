"""Exact nearest neighbours, in bounded memory."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from decant.models.matryoshka import shorten
from decant.models.scorer import Scores

QUERIES_AT_ONCE = 1024
DOCUMENTS_AT_ONCE = 16384  # a block of scores takes 64 MB


class Ranking(NamedTuple):
    """A query's best documents, the best first, those of equal scores in the order of the corpus."""

    places: npt.NDArray[np.int64]  # in the corpus, shape (documents,)
    scores: Scores  # shape (documents,)


def kept_on_device(documents: Scores) -> torch.Tensor:
    """Documents where `nearest` computes, so that it need not send them there again for each query."""
    return torch.from_numpy(np.ascontiguousarray(documents, dtype=np.float32)).to(_device())


def nearest(
    queries: Scores, documents: Scores | torch.Tensor, count: int, dimensions: int | None = None
) -> list[Ranking]:
    """The documents with the highest inner products, for each query.

    Args:
        queries: shape (queries, dimension).
        documents: shape (documents, dimension); an array on the disk is read a block at a time, in any precision; a
            tensor of `kept_on_device` stays there, and is taken whole.
        count: of documents for each query; fewer where there are no more.
        dimensions: to which documents are shortened; None takes them whole.
    """
    device = _device()
    found: list[Ranking] = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        asked = torch.from_numpy(queries[start : start + QUERIES_AT_ONCE]).to(device)
        scores, places = torch.empty((len(asked), 0), device=device), torch.empty((len(asked), 0), device=device).long()
        for first in range(0, len(documents), DOCUMENTS_AT_ONCE):
            block = documents[first : first + DOCUMENTS_AT_ONCE]
            if not isinstance(block, torch.Tensor):
                read = np.ascontiguousarray(block, dtype=np.float32)
                block = torch.from_numpy(read if dimensions is None else shorten(read, dimensions)).to(device)
            of_block = asked @ block.T
            numbers = torch.arange(first, first + len(block), device=device).expand(len(asked), -1)
            scores, places = torch.cat([scores, of_block], 1), torch.cat([places, numbers], 1)
            scores, chosen = scores.topk(min(count, scores.shape[1]))
            places = places.gather(1, chosen)
        for of_query, at in zip(scores.cpu().numpy(), places.cpu().numpy(), strict=True):
            order = np.lexsort((at, -of_query))
            found.append(Ranking(at[order], of_query[order]))
    return found


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
