"""The teacher's embeddings of the n-tuples' texts, looked up by what names a text in the trainers' labels."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import normalize

from decant.scores import open_embeddings
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

    def __init__(self, roles: pa.Array, texts: pa.Array, vectors: npt.NDArray[np.floating[Any]]) -> None:
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


def read_embeddings(folder: Path) -> TeacherEmbeddings:
    """Read the embeddings beside a track's scores, a row group at a time; see `decant.scores.open_embeddings`."""
    with open_embeddings(folder) as file:
        kind = file.schema_arrow.field("embedding").type
        vectors = np.empty((file.metadata.num_rows, kind.list_size), dtype=kind.value_type.to_pandas_dtype())
        roles, texts, start = [], [], 0
        for batch in file.iter_batches():
            part = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
            vectors[start : start + len(batch)] = part.reshape(len(batch), -1)
            start += len(batch)
            roles.append(batch.column("role"))
            texts.append(batch.column("text"))
    return TeacherEmbeddings(pa.concat_arrays(roles), pa.concat_arrays(texts), vectors)
