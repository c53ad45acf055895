"""Embedding distillation: the student's embeddings approach the teacher's (Kim et al., EmbedDistill, arXiv:2301.12005).

A projection, trained with the student, maps its embeddings where the teacher's have another dimension. With `sides` the
embeddings of queries or of documents alone are held to the teacher's; the other side learns from other terms.

An embedding that `loss.dimensions` shortens has no counterpart at the teacher. The first numbers of a teacher that is
no Matryoshka model say no more of a text than any other of its numbers. A projection to all of them may stretch the
student's axes, so that its cosines, by which a search ranks, are not the teacher's. So the shortened student learns the
teacher's similarities: of each query, how the cosines with the batch's documents vary. They need no common axes and no
weights of their own. They are compared by Pearson's correlation, as in DIST (Huang et al., arXiv:2205.10536): fewer
numbers spread cosines wider, and a ranking does not depend on their scale. 1 − correlation is 1 − cosine of the centred
similarities, so it needs no weight beside the term of the whole embedding.

Where the two have one dimension, the term of the whole embedding still draws the student to the teacher's own axes, in
which the first numbers are no better than others: what is gained for them is gained against that term.
"""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from decant.train.embeddings import TeacherEmbeddings
from decant.train.losses.base import Batch
from decant.train.settings import Loss


def distil(batch: Batch, settings: Loss) -> Tensor:
    """1 − cosine of the student's and the teacher's embedding, mean over the held texts that the teacher embedded.

    Of shortened embeddings 1 − correlation of the two's similarities; see `_similarities`.
    """
    assert batch.teacher is not None
    if batch.shortened:
        return _similarities(batch, batch.teacher, settings)
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


def _similarities(batch: Batch, teacher: TeacherEmbeddings, settings: Loss) -> Tensor:
    """1 − correlation of a query's cosines with the batch's documents, at the student and at the teacher.

    The mean over the queries; 0 where there is nothing to compare. Texts that the teacher has not embedded are left
    out. A side that `sides` leaves free has no gradient.
    """
    names = batch.labels.texts
    queries, documents = teacher.find("query", names[:, 0]), teacher.find("document", names[:, 1:].T.flatten())
    query, document = batch.embeddings[0], torch.cat(batch.embeddings[1:])
    if settings.sides == "documents":
        query = query.detach()
    if settings.sides == "queries":
        document = document.detach()
    asked, read = queries >= 0, documents >= 0
    if not asked.any() or read.sum() < 2:
        return (query.sum() + document.sum()) * 0
    own = normalize(query[asked], dim=1) @ normalize(document[read], dim=1).T
    wanted = teacher.vectors(queries[asked]) @ teacher.vectors(documents[read]).T
    student, target = (cosines.float() - cosines.float().mean(dim=1, keepdim=True) for cosines in (own, wanted))
    return (1 - cosine_similarity(student, target, dim=1)).mean()
