"""The teacher's embeddings of the n-tuples' texts, looked up by what names a text in the trainers' labels."""

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.nn.functional import normalize

from decant.store.keys import digests

Names = npt.NDArray[np.int64]


def names(texts: pa.Array) -> Names:
    """64 bits of each text's digest: equal texts have one name, and two texts practically never; shape (texts,)."""
    return digests(texts)[:, :8].copy().view(np.int64).ravel()


class TeacherEmbeddings:
    """Embeddings by role and text.

    Args:
        roles: "query" or "document", shape (texts,).
        texts: shape (texts,).
        vectors: shape (texts, dimension), of any length.
    """

    def __init__(self, roles: pa.Array, texts: pa.Array, vectors: npt.NDArray[np.floating]) -> None:
        self._vectors = torch.from_numpy(vectors)
        self.dimension: int = vectors.shape[1]
        self._found = {}
        name, role = names(texts), np.asarray(roles.to_pylist(), dtype=object)
        for wanted in ("query", "document"):
            rows = np.flatnonzero(role == wanted)
            rows = rows[np.argsort(name[rows], kind="stable")]
            self._found[wanted] = torch.from_numpy(name[rows]), torch.from_numpy(rows)

    def find(self, role: Literal["query", "document"], wanted: Tensor) -> Tensor:
        """The rows of texts by their names, −1 for those that are not there; of any shape."""
        name, rows = (part.to(wanted.device) for part in self._found[role])
        if not len(name):
            return torch.full_like(wanted, -1)
        at = torch.searchsorted(name, wanted.contiguous()).clamp(max=len(name) - 1)
        return torch.where(name[at] == wanted, rows[at], -1)

    def vectors(self, rows: Tensor) -> Tensor:
        """Embeddings of length 1, shape (rows, dimension), in float32 on the rows' device; of −1, any."""
        found = self._vectors[rows.clamp(min=0).cpu()].to(device=rows.device, dtype=torch.float32)
        return normalize(found, dim=1)


def read_embeddings(path: Path) -> TeacherEmbeddings:
    """Read what `score` writes where `teacher.embeddings` is on."""
    table = pq.read_table(path)
    column = table.column("embedding").combine_chunks()
    vectors = column.values.to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return TeacherEmbeddings(
        table.column("role").combine_chunks(), table.column("text").combine_chunks(), vectors.copy()
    )
