"""The teacher's embeddings of the n-tuples' texts, looked up by what names a text in the trainers' labels."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import normalize

from decant.data.digests import digests
from decant.data.scores import Embeddings


def names(texts: pa.Array) -> npt.NDArray[np.int64]:
    """64 bits of each text's digest: equal texts have one name, and two texts practically never; shape (texts,)."""
    return digests(texts)[:, :8].copy().view(np.int64).ravel()


class TeacherEmbeddings:
    """Embeddings by role and a text's name, on tensors."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._vectors = torch.from_numpy(embeddings.vectors)
        self.dimension: int = embeddings.vectors.shape[1]
        self._names = {}
        for role, rows in embeddings.rows.items():
            name = names(embeddings.texts[role])
            order = np.argsort(name, kind="stable")
            self._names[role] = torch.from_numpy(name[order]), torch.from_numpy(rows[order])

    def find(self, role: Literal["query", "document"], wanted: Tensor) -> Tensor:
        """The rows of texts by their names, −1 for those that are not there; from and to any shape."""
        name, rows = (part.to(wanted.device) for part in self._names[role])
        if not len(name):
            return torch.full_like(wanted, -1)
        place = torch.searchsorted(name, wanted.contiguous()).clamp(max=len(name) - 1)
        return torch.where(name[place] == wanted, rows[place], -1)

    def vectors(self, rows: Tensor) -> Tensor:
        """Embeddings of length 1, shape (rows, dimension), in float32 on the rows' device; of row −1, any embedding."""
        vectors = self._vectors[rows.clamp(min=0).cpu()].to(device=rows.device, dtype=torch.float32)
        return normalize(vectors, dim=1)
