"""The corpus of a set: the documents that a search looks through, kept as Parquet beside the splits."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from decant.files import atomic_file

# An id is "" where the source gives none.
CORPUS = pa.schema([("id", pa.string()), ("text", pa.string())])
TEXTS_AT_ONCE = 16384


def write_corpus(path: Path, texts: Iterable[tuple[str, str]]) -> int:
    """Write the (id, text) of documents as they come, whole or not at all; return how many there are."""
    left, count = iter(texts), 0
    with atomic_file(path) as partial, pq.ParquetWriter(partial, CORPUS, compression="zstd") as file:
        while block := list(islice(left, TEXTS_AT_ONCE)):
            columns = [list(column) for column in zip(*block, strict=True)]
            file.write_table(pa.table(dict(zip(CORPUS.names, columns, strict=True)), schema=CORPUS))
            count += len(block)
    return count


def read_corpus(path: Path) -> pa.Table:
    """The documents of a corpus, columns as in `CORPUS`; none where the set has no corpus of its own."""
    return pq.read_table(path, schema=CORPUS) if path.is_file() else CORPUS.empty_table()
