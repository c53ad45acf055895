"""Embedding distillation: the student's embeddings approach the teacher's (Kim et al., EmbedDistill, arXiv:2301.12005).

A projection, trained with the student, maps its embeddings where the teacher's have another dimension. With `sides` the
embeddings of queries or of documents alone are held to the teacher's; the other side learns from other terms.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from decant.train.losses.base import Batch
from decant.train.settings import Loss


def distil(batch: Batch, settings: Loss) -> Tensor:
    """1 − cosine of the student's and the teacher's embedding, mean over the held texts that the teacher embedded."""
    assert batch.teacher is not None
    texts = batch.labels.texts
    queries, documents = batch.teacher.find("query", texts[:, :1]), batch.teacher.find("document", texts[:, 1:])
    held = {"queries": slice(1), "documents": slice(1, None)}.get(settings.sides or "both", slice(None))
    rows = torch.cat((queries, documents), dim=1)[:, held].flatten()
    student = torch.stack(batch.embeddings[held], dim=1).flatten(0, 1)
    known = rows >= 0
    if not known.any():
        return student.sum() * 0
    teacher, student = batch.teacher.vectors(rows[known]).to(student.dtype), student[known]
    if batch.projection is not None:
        student = batch.projection(student)
    return (1 - cosine_similarity(student, teacher, dim=-1)).mean()
