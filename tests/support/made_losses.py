"""Losses of two small students, and what students put out, by hand."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from decant.models.kind import Model
from decant.train.embeddings import TeacherEmbeddings
from tests.support import students

T, TT, SCALE = 0.25, 0.5, 3.0
MAKES: dict[str, Callable[[], Model]] = {"embedding": students.bi_encoder, "reranker": students.cross_encoder}


@cache
def made(track: str) -> Model:
    """A student without dropout, so that two passes agree, and with a head whose logits differ visibly."""
    model = MAKES[track]().eval()
    if track == "reranker":
        with torch.no_grad():
            model[0].model.classifier.weight.mul_(20)
    return model.cpu()


def loss_of(track: str, name: str, teacher: TeacherEmbeddings | None = None, **changes: Any) -> Any:
    values = {"student_temperature": T, "teacher_temperature": TT, "teacher_scale": SCALE, "label_weight": 0.0}
    return students.loss_of(made(track), teacher, **{"name": name, **values, **changes})


def planar(cosines: Tensor) -> list[Tensor]:
    """Embeddings in the plane: the queries, and a column of candidates for each column of cosines."""
    sines = (1 - cosines**2).sqrt()
    query = torch.tensor([1.0, 0.0]).expand(len(cosines), 2)
    return [query, *(torch.stack(pair, dim=1) for pair in zip(cosines.T, sines.T, strict=True))]


def given(track: str, rows: slice = slice(None)) -> Any:
    """Embeddings or logits of the students, by hand."""
    cosines = torch.tensor([[0.1, -0.3, 0.4], [0.2, 0.0, -0.45], [-0.1, 0.4, 0.3]])[rows]
    return planar(cosines) if track == "embedding" else cosines * 5
