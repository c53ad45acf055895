"""Three n-tuples of two negatives each, as the losses get them, and a teacher's embeddings of their texts."""

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from decant.data.scores import Embeddings
from decant.train.columns import Labels, trainer_columns, unpack
from decant.train.embeddings import TeacherEmbeddings, names
from decant.triplets.draw import SCHEMA

COLUMNS = [
    ["red apple", "a very long question about a green pear", "plum"],
    ["an apple", "a pear", "a plum that is sweet and blue"],
    ["a stone", "a cloud in the sky", "a car"],
    ["one", "two", "three and more"],
]
# Exact in float32. The teacher's order is 0 1 2, 1 0 2, 2 0 1.
SCORES = torch.tensor([[0.875, 0.25, 0.125], [0.5, 0.75, 0.125], [0.5, 0.25, 0.625]])


def packed(
    columns: Sequence[Sequence[str]] = COLUMNS, scores: Tensor = SCORES, labelled: Sequence[bool] | None = None
) -> Tensor:
    """The trainers' label column of n-tuples, given as columns of texts: queries, positives, negatives."""
    rows = [
        {"query": query, "positive": positive, "negatives": negatives, "scores": of_row}
        for (query, positive, *negatives), of_row in zip(zip(*columns, strict=True), scores.tolist(), strict=True)
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    told = np.ones(len(rows), dtype=bool) if labelled is None else np.array(labelled)
    return torch.tensor(trainer_columns(batch, told)["label"].to_pylist())


def labels_of(
    columns: Sequence[Sequence[str]] = COLUMNS, scores: Tensor = SCORES, labelled: Sequence[bool] | None = None
) -> Labels:
    return unpack(packed(columns, scores, labelled))


def name_of(text: str) -> Tensor:
    """A text's name in the labels, shape (1,)."""
    return torch.from_numpy(names(pa.array([text])))


def teacher_of(
    dimension: int, columns: Sequence[Sequence[str]] = COLUMNS, without: Collection[tuple[str, str]] = ()
) -> TeacherEmbeddings:
    """Embeddings at random of the queries and the candidates, but for some texts in some roles."""
    query, *candidates = columns
    documents = {text for column in candidates for text in column}
    rows = {("query", text) for text in query} | {("document", text) for text in documents}
    roles, texts = zip(*sorted(rows - set(without)), strict=True)
    vectors = np.random.default_rng(0).normal(size=(len(texts), dimension)).astype(np.float32)
    return TeacherEmbeddings(Embeddings(pa.array(roles), pa.array(texts), vectors))
