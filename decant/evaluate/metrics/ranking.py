"""The order of a query's candidates."""

from typing import Any

import numpy as np
import numpy.typing as npt


def rank(scores: npt.NDArray[np.float32], kind: str) -> list[int]:
    """Candidate indices, best first.

    Tied scores are ordered as the library's evaluators order them, so that the means are theirs:
    `torch.argsort` for a bi-encoder (`RerankingEvaluator`), a reversed `numpy.argsort` for every model that reads the
    pair (`CrossEncoderRerankingEvaluator`).
    """
    if kind == "bi_encoder":
        import torch

        order: Any = torch.argsort(-torch.from_numpy(np.array(scores, dtype=np.float32)))
    else:
        order = np.argsort(scores)[::-1]
    ranking: list[int] = order.tolist()
    return ranking
