"""The teacher's embeddings beside its scores: written of the texts of some splits, and taken in again elsewhere."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant.data.digests import WIDTH, Keys, as_binary, digests, first_occurrences, in_context
from decant.data.scores import open_embeddings
from decant.data.sets import stream_pairs
from decant.errors import DecantError
from decant.files import sha256
from decant.score.prompts import Prompts
from decant.score.store import StoredTeacher
from decant.score.store.complete import Positions, SplitScores
from decant.score.store.shards import joint

SIDES = {"query": "query", "document": "candidate"}  # a text's role → the column of pairs that it stands in
AT_ONCE = 4096


def write_embeddings(splits: Mapping[str, SplitScores], path: Path) -> dict[str, Any]:
    """Write the embedding of each distinct text of some splits, a row a text, a few thousand at a time.

    Rows are in the order of the splits; of each its queries, then its documents, as they come first. A text has a row
    for each role that it has, and for each prompt that it stands behind. One that was set aside has none.

    Args:
        splits: by name, completed, of one teacher.
        path: of the Parquet file: role ("query" or "document"), text, embedding.

    Returns:
        what the manifest says of the file.

    Raises:
        DecantError: no text has an embedding.
    """
    parts = _parts(splits)
    positions = np.concatenate([found for _, _, _, found in parts])
    if not len(positions):
        raise DecantError(f"{path.name}: no text has an embedding", "look into the sets, and at the quarantine file")
    texts = next(iter(splits.values())).stored.texts
    (dimension,), dtype = texts.row()
    schema = pa.schema(
        [("role", pa.string()), ("text", pa.string()), ("embedding", pa.list_(pa.from_numpy_dtype(dtype), dimension))]
    )
    with (
        texts.gathered(positions) as vectors,
        pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["role"]) as writer,
    ):
        start = 0
        for name, role, pairs, _ in parts:
            for batch in _texts(splits[name].path, SIDES[role], pairs):
                values = pa.array(np.ascontiguousarray(vectors[start : start + len(batch)]).reshape(-1))
                start += len(batch)
                embeddings = pa.FixedSizeListArray.from_arrays(values, type=schema.field("embedding").type)
                roles = pa.array([role]).take(pa.array(np.zeros(len(batch), dtype=np.int64)))
                writer.write_batch(pa.record_batch([roles, batch, embeddings], schema=schema))
    counts = dict.fromkeys(splits, 0)
    for name, _, pairs, _ in parts:
        counts[name] += len(pairs)
    return {
        "file": path.name,
        "sha256": sha256(path),
        "texts": len(positions),
        "dimension": dimension,
        "precision": dtype.name,
        "splits": counts,
        "origins": [{**json.loads(origin), "texts": count} for origin, count in texts.origins(positions).items()],
    }


def _parts(splits: Mapping[str, SplitScores]) -> list[tuple[str, str, Positions, Positions]]:
    """Split, role, pairs in which new texts come first, the texts' positions in the store."""
    parts = []
    seen: dict[str, list[Keys]] = {role: [np.empty((0, WIDTH), dtype=np.uint8)] for role in SIDES}
    for name, split in splits.items():
        for role, keys, pairs, positions in split.texts():
            before = as_binary(np.concatenate(seen[role]))
            new = ~pc.is_in(as_binary(keys), value_set=before).to_numpy(zero_copy_only=False)
            seen[role].append(keys[new])
            parts.append((name, role, pairs[new], positions[new]))
    return parts


def _texts(path: Path, column: str, pairs: Positions) -> Any:
    """The texts of a column of pairs, in ascending order of the pairs, batch by batch."""
    start = 0
    for batch in stream_pairs(path):
        low, high = np.searchsorted(pairs, [start, start + len(batch)])
        for first in range(low, high, AT_ONCE):
            yield batch.column(column).take(pa.array(pairs[first : min(first + AT_ONCE, high)] - start))
        start += len(batch)


def take_embeddings(
    folder: Path, described: Mapping[str, Any], tasks: Mapping[str, str], prompts: Prompts, stored: StoredTeacher
) -> None:
    """Take in the embeddings that `write_embeddings` wrote, those that the store lacks.

    Args:
        folder: with the file and the manifest.
        described: what the manifest says of the file.
        tasks: of the splits, by name.
        prompts: the teacher's.
        stored: receives them.

    Raises:
        DecantError: the file is not the one that the manifest describes.
    """
    ends = np.cumsum(list(described["splits"].values()))
    origin = joint([{key: value for key, value in each.items() if key != "texts"} for each in described["origins"]])
    start = 0
    with open_embeddings(folder) as file:
        for batch in file.iter_batches(AT_ONCE):
            keys = digests(batch.column("text"))
            of_split = np.searchsorted(ends, start + np.arange(len(batch)), side="right")
            asked = pc.equal(batch.column("role"), "query").to_numpy(zero_copy_only=False)
            for number, name in enumerate(described["splits"]):
                for context, role in zip(prompts.contexts(tasks[name]), (asked, ~asked), strict=True):
                    behind = role & (of_split == number)
                    keys[behind] = in_context(keys[behind], context)
            first = first_occurrences(keys)
            new = first[stored.texts.find(keys[first]) < 0]
            if len(new):
                values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
                stored.texts.add(keys[new], values.reshape(len(batch), -1)[new], origin)
            start += len(batch)
