"""The term on labels: cross-entropy of the positive among candidates.

With the batch's other candidates as negatives it is InfoNCE (van den Oord et al., arXiv:1807.03748). With more of the
batch's pairs as negatives it is the improved contrastive loss of GTE (Li et al., arXiv:2308.03281).
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from decant.train.embeddings import TeacherEmbeddings
from decant.train.losses.base import Batch
from decant.train.settings import Loss

MASKED = -1e4  # a logit whose probability is 0


def contrastive(batch: Batch, settings: Loss) -> Tensor:
    """The mean over the labelled n-tuples; 0 where there are none.

    The candidates are the n-tuple's own, and with `in_batch` those of all labelled n-tuples; `in_batch_pairs` adds the
    cosines of other pairs of texts to the denominator.
    """
    labelled, margin = batch.labels.labelled, settings.false_negative_margin
    texts, scores = batch.labels.texts[labelled], batch.labels.scores[labelled]
    logits = batch.student[labelled].masked_fill(_false_negatives(scores, margin), MASKED)
    if settings.in_batch:
        query, *candidates = (normalize(column[labelled], dim=1) for column in batch.embeddings)
        documents = torch.cat(candidates)
        known_queries, excluded = torch.split(_known(texts), [len(texts), len(documents)], dim=1)
        if margin is not None and batch.teacher is not None:
            excluded = excluded | _false_negatives_in_batch(batch.teacher, texts, margin)
        # n-tuples whose query the positive may answer; the first column of candidates is the positives
        answered = excluded[:, : len(texts)].T
        pairs = {
            "query_query": (query, query, known_queries | answered | answered.T),
            "document_query": (candidates[0], query, answered),
            "document_document": (candidates[0], documents, excluded | answered.repeat(1, len(candidates))),
        }
        more = [pairs[name] for name in settings.in_batch_pairs or ()]
        for left, right, none in [(query, documents, excluded), *more]:
            logits = torch.cat([logits, (left @ right.T).masked_fill(none, MASKED)], dim=1)
    if not len(logits):
        return logits.sum()
    target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)  # the positive is the first
    return cross_entropy(logits / settings.student_temperature, target)


def _false_negatives(scores: Tensor, margin: float | None) -> Tensor:
    """Which negatives the teacher scores above the positive's score less a margin; from and to shape (batch, 1 + k)."""
    false = torch.zeros_like(scores, dtype=torch.bool)
    if margin is not None:
        false[:, 1:] = scores[:, 1:] > scores[:, :1] - margin
    return false


def _known(texts: Tensor) -> Tensor:
    """Which of the batch's queries and candidates, column by column, cannot be further negatives of a query.

    Those are the query's own text, the texts of its n-tuple, and the positives of its other n-tuples. From names of
    texts, shape (batch, 2 + k), to shape (batch, (2 + k) · batch).
    """
    # By numbers of the distinct texts: the comparison of all pairs of texts would take batch³ · (1 + k) bytes.
    distinct, number = torch.unique(texts, return_inverse=True)
    _, query = torch.unique(texts[:, 0], return_inverse=True)
    own = torch.zeros(len(texts), len(distinct), dtype=torch.bool, device=texts.device)
    positives = torch.zeros_like(own)  # of each query
    own.scatter_(1, number, True)
    positives[query, number[:, 1]] = True
    return (own | positives[query])[:, number.T.flatten()]


def _false_negatives_in_batch(teacher: TeacherEmbeddings, texts: Tensor, margin: float) -> Tensor:
    """Which of the batch's candidates are false negatives of a query by the teacher's embeddings.

    To shape (batch, (1 + k) · batch), column by column. Nothing is known of texts that the teacher has not embedded.
    """
    queries, candidates = teacher.find("query", texts[:, 0]), teacher.find("document", texts[:, 1:].T.flatten())
    cosines = teacher.vectors(queries) @ teacher.vectors(candidates).T
    limit = cosines.diagonal()[:, None] - margin  # the first column of candidates is the positives
    embedded = (queries >= 0)[:, None] & (candidates[: len(texts)] >= 0)[:, None] & (candidates >= 0)
    return (cosines > limit) & embedded
