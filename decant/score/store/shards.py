"""Append-only Parquet files of keys and values, each named by the SHA-256 of its bytes."""

import json
import math
import os
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant.data.digests import Keys, as_binary, buckets, first_occurrences, from_binary
from decant.files import sha256

Values = npt.NDArray[np.floating[Any]]
ORIGIN = b"origin"
LARGEST = 1 << 20  # keys in one file


class Shards:
    """The shards of one folder. A file that is not what its name says is set aside as `*.broken`, told, and not read.

    Whoever writes holds the folder's lock; whoever only reads changes nothing, not even what is damaged.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None], *, writes: bool = True) -> None:
        self.folder = folder
        self._paths: list[Path] = []
        self._origins: list[str] = []
        self._sizes: list[int] = []
        self._keys: list[Keys] = []
        if not folder.is_dir():
            return
        for partial in folder.glob(".*.partial") if writes else ():  # of a run that was killed
            partial.unlink()
        for path in sorted(folder.glob("*.parquet")):
            if not path.exists():  # without the lock, others may remove it
                continue
            if sha256(path) == path.stem:
                self._know(path)
            elif writes:
                path.rename(path.with_suffix(".broken"))
                tell(f"{path}: the file is damaged (SHA-256 differs) and is set aside; its scores are made anew")
            else:
                tell(f"{path}: the file is damaged (SHA-256 differs); its scores do not count")

    @staticmethod
    def count(folder: Path) -> int:
        """How many keys the files of a folder hold; they are not verified, and one that goes meanwhile has none."""
        count = 0
        for path in folder.glob("*.parquet"):
            with suppress(FileNotFoundError):
                count += pq.read_metadata(path).num_rows
        return count

    def __len__(self) -> int:
        return sum(self._sizes)

    def find(self, keys: Keys) -> npt.NDArray[np.int64]:
        """The positions of keys, −1 for those that are not there; shape (keys,)."""
        positions = np.full(len(keys), -1, dtype=np.int64)
        if not self._keys or not len(keys):
            return positions
        if len(self._keys) > 1:
            self._keys = [np.concatenate(self._keys)]
        [stored] = self._keys
        for wanted, there in zip(buckets(keys), buckets(stored), strict=True):
            found = pc.index_in(as_binary(keys[wanted]), value_set=as_binary(stored[there]))
            known = found.is_valid().to_numpy(zero_copy_only=False)
            positions[wanted[known]] = there[found.drop_null().to_numpy()]
        return positions

    def values(self, positions: npt.NDArray[np.int64], out: Values) -> None:
        """Read values[positions] into `out`, shape (positions,) or (positions, dimension), a shard at a time."""
        if out.ndim == 1:  # of all shards they take little memory
            out[:] = np.concatenate([out[:0], *map(_read_values, self._paths)])[positions]
            return
        order = np.argsort(positions, kind="stable")
        ascending = positions[order]
        start = 0
        for path, count in zip(self._paths, self._sizes, strict=True):
            low, high = np.searchsorted(ascending, [start, start + count])
            if high > low:
                out[order[low:high]] = _read_values(path)[ascending[low:high] - start]
            start += count

    @contextmanager
    def gathered(self, positions: npt.NDArray[np.int64]) -> Iterator[Values]:
        """values[positions], at least one, in a file that goes when the context is left: memory need not hold them."""
        shape, dtype = self.row()
        with tempfile.NamedTemporaryFile(prefix=".gathered-", suffix=".partial", dir=self.folder) as file:
            size = len(positions) * math.prod(shape) * dtype.itemsize
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk is told here, and no signal later
            gathered = np.memmap(file.name, dtype=dtype, mode="r+", shape=(len(positions), *shape))
            self.values(positions, gathered)
            yield gathered

    def row(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """The shape and the type of one value."""
        values = _read_values(self._paths[0])[:1]
        return values.shape[1:], values.dtype

    def origins(self, positions: npt.NDArray[np.int64]) -> dict[str, int]:
        """Where values come from: origin as JSON → how many of the positions."""
        counts = np.bincount(self._shards_of(positions), minlength=len(self._paths))
        found: Counter[str] = Counter()
        for origin, count in zip(self._origins, counts.tolist(), strict=True):
            found[origin] += count
        return dict(sorted((+found).items()))

    def have(self, positions: npt.NDArray[np.int64], key: str) -> npt.NDArray[np.bool_]:
        """Whether the origin of each position has a key; shape (positions,)."""
        marks = np.array([key in json.loads(origin) for origin in self._origins], dtype=bool)
        found: npt.NDArray[np.bool_] = marks[self._shards_of(positions)]
        return found

    def _shards_of(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.searchsorted(np.cumsum([0, *self._sizes]), positions, side="right") - 1

    def add(self, keys: Keys, values: Values, origin: Mapping[str, Any]) -> None:
        """Keep values of keys that are not there yet: whole on disk when this returns, or not at all.

        Args:
            keys: each once, shape (keys, width).
            values: shape (keys,) or (keys, dimension).
            origin: where they come from, as plain data.
        """
        for first in range(0, len(keys), LARGEST):
            part = slice(first, first + LARGEST)
            self._add(keys[part], values[part], origin)

    def add_missing(self, keys: Keys, values: Values, origin: Mapping[str, Any]) -> int:
        """Keep the values of those keys that are not there yet, which may repeat; return how many."""
        first = first_occurrences(keys)
        new = first[self.find(keys[first]) < 0]
        self.add(keys[new], values[new], origin)
        return len(new)

    def _add(self, keys: Keys, values: Values, origin: Mapping[str, Any]) -> None:
        column = pa.array(values.reshape(-1))
        if values.ndim == 2:
            column = pa.FixedSizeListArray.from_arrays(column, values.shape[1])
        text = json.dumps(origin, sort_keys=True, ensure_ascii=False)
        table = pa.table({"key": as_binary(keys), "value": column}).replace_schema_metadata({ORIGIN: text})
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{uuid.uuid4().hex}.partial"
        try:
            with partial.open("wb") as file:
                pq.write_table(table, file, compression="none", use_dictionary=False)
                file.flush()
                os.fsync(file.fileno())
            path = self.folder / f"{sha256(partial)}.parquet"
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        self._know(path)

    def _know(self, path: Path) -> None:
        with pq.ParquetFile(path) as file:
            self._keys.append(from_binary(file.read(["key"]).column("key").combine_chunks()))
            self._sizes.append(file.metadata.num_rows)
            self._origins.append(file.schema_arrow.metadata[ORIGIN].decode())
        self._paths.append(path)


def _read_values(path: Path) -> Values:
    with pq.ParquetFile(path) as file:
        column = file.read(["value"]).column("value").combine_chunks()
    vectors = pa.types.is_fixed_size_list(column.type)
    values: Values = (column.values if vectors else column).to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1) if vectors else values


def joint(origins: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """One origin for what has several."""
    return origins[0] if len(origins) == 1 else {"several": list(origins)}
