"""Write teacher scores and embeddings, with what the manifest says of them: that they are sane, and their origin."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant.data.digests import WIDTH, Keys, as_binary, first_occurrences
from decant.data.scores import SCHEMA
from decant.errors import DecantError
from decant.files import atomic_file, sha256
from decant.models.cuts import SIDES, TEXTS_AT_ONCE, count_cut
from decant.models.scorer import Scores
from decant.score.sanity import Order, check_values
from decant.score.store.complete import Positions, SplitScores

BINS = 20
QUARANTINE = "quarantine.jsonl"

Labels: TypeAlias = npt.NDArray[np.int8]  # shape (pairs,), −1 for none


def write_scores(split: SplitScores, scores: Scores, path: Path) -> dict[str, Any]:
    """Write the pairs of a completed split that have a score; return what the manifest says of the Parquet file.

    Args:
        split: whose scores they are.
        scores: of its pairs, NaN where there is none, shape (pairs,).
        path: of the file.

    Raises:
        DecantError: the scores cannot be right; see `decant.score.sanity`.
    """
    there = split.positions >= 0
    queries, label, order = write_pairs(split.pairs_at(np.flatnonzero(there)), scores, path)
    check_values(split.distinct(scores), path.stem)
    order.check(path.stem)
    score = scores[there]
    origins = split.stored.pairs.origins(split.positions[there])
    return {
        "sha256": sha256(path),
        "queries": queries,
        "pairs": len(score),
        "unique_texts": split.unique_texts,
        "quarantined": int((~there).sum()),
        "cut": _cut(split),
        "scores": statistics(score, label),
        "histogram": histogram(score, label),
        "origins": [{**json.loads(origin), "pairs": count} for origin, count in origins.items()],
    }


def write_pairs(
    pairs: Iterable[tuple[Positions, pa.RecordBatch]], scores: Scores, path: Path
) -> tuple[int, Labels, Order]:
    """Write pairs with their scores; return the number of their queries, their labels, and how they are ordered.

    Args:
        pairs: places in `scores`, and the pairs of `decant.data.pairs.PAIRS` that stand there, row by row.
        scores: shape (all pairs,).
        path: of the Parquet file.
    """
    labels = [np.empty(0, dtype=np.int8)]
    order = Order()
    queries = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for places, batch in pairs:
            score = scores[places]
            writer.write_batch(pa.record_batch([*batch.columns, pa.array(score)], schema=SCHEMA))
            row = batch.column("row").to_numpy()
            labels.append(batch.column("label").fill_null(-1).to_numpy(zero_copy_only=False))
            queries += int(np.count_nonzero(np.diff(row, prepend=-1)))
            order.add(row, labels[-1], score)
    return queries, np.concatenate(labels), order


def _cut(split: SplitScores) -> dict[str, dict[str, Any]]:
    """Of what has a score, the texts or pairs that are longer than the teacher reads; see `count_cut`."""
    prompts, task = split.prompts, split.task
    pairs = (batch for _, batch in split.pairs_at(np.flatnonzero(split.positions >= 0)))
    return count_cut(
        pairs, lambda role, texts: prompts.lengths(role, texts, task), prompts.max_length, of_texts=prompts.of_texts
    )


def write_embeddings(splits: Mapping[str, SplitScores], path: Path) -> dict[str, Any]:
    """Write the embedding of each distinct text of some completed splits, a row a text, a few thousand at a time.

    Rows are in the order of the splits; of each its queries, then its documents, as they come first. A text has a row
    for each role that it has, and for each prompt that it stands behind. One that was set aside has none.

    Returns:
        what the manifest says of the Parquet file: role ("query" or "document"), text, embedding.

    Raises:
        DecantError: no text has an embedding.
    """
    parts = _new_texts(splits)
    positions = np.concatenate([found for _, _, _, found in parts])
    if not len(positions):
        raise DecantError(f"{path.name}: no text has an embedding", "look into the sets, and at the quarantine file")
    texts = next(iter(splits.values())).stored.texts
    (dimension,), dtype = texts.row()
    vector = pa.list_(pa.from_numpy_dtype(dtype), dimension)
    schema = pa.schema([("role", pa.string()), ("text", pa.string()), ("embedding", vector)])
    with (
        texts.gathered(positions) as vectors,
        pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["role"]) as writer,
    ):
        start = 0
        for name, role, pairs, _ in parts:
            for batch in _texts(splits[name], SIDES[role], pairs):
                values = pa.array(np.ascontiguousarray(vectors[start : start + len(batch)]).reshape(-1))
                start += len(batch)
                embeddings = pa.FixedSizeListArray.from_arrays(values, type=vector)
                roles = pa.array([role]).take(pa.array(np.zeros(len(batch), dtype=np.int64)))
                writer.write_batch(pa.record_batch([roles, batch, embeddings], schema=schema))
    counts = {name: sum(len(pairs) for split, _, pairs, _ in parts if split == name) for name in splits}
    return {
        "file": path.name,
        "sha256": sha256(path),
        "texts": len(positions),
        "dimension": dimension,
        "precision": dtype.name,
        "splits": counts,
        "origins": [{**json.loads(origin), "texts": count} for origin, count in texts.origins(positions).items()],
    }


def _new_texts(splits: Mapping[str, SplitScores]) -> list[tuple[str, str, Positions, Positions]]:
    """Split, role, pairs in which texts with an embedding come first of all splits, their positions in the store."""
    parts = []
    seen: dict[str, list[Keys]] = {role: [np.empty((0, WIDTH), dtype=np.uint8)] for role in SIDES}
    for name, split in splits.items():
        for role, keys in zip(SIDES, np.hsplit(split.keys, 2), strict=True):
            first = first_occurrences(keys)
            positions = split.stored.texts.find(keys[first])
            before = as_binary(np.concatenate(seen[role]))
            known = pc.is_in(as_binary(keys[first]), value_set=before).to_numpy(zero_copy_only=False)
            new = (positions >= 0) & ~known
            seen[role].append(keys[first[new]])
            parts.append((name, role, first[new], positions[new]))
    return parts


def _texts(split: SplitScores, column: str, pairs: Positions) -> Iterator[pa.Array]:
    for _, batch in split.pairs_at(pairs):
        for first in range(0, len(batch), TEXTS_AT_ONCE):
            yield batch.column(column).slice(first, TEXTS_AT_ONCE)


def quarantine(splits: Mapping[str, SplitScores]) -> list[dict[str, Any]]:
    """The pairs whose score is known to be out of reach, as rows of the quarantine file, with the reason."""
    rows: list[dict[str, Any]] = []
    for name, split in splits.items():
        for places, batch in split.pairs_at(np.flatnonzero(split.positions < 0)) if split.faults else ():
            for place, pair in zip(places.tolist(), batch.to_pylist(), strict=True):
                if reason := split.reason(place):
                    rows.append({"split": name, **pair, "reason": reason})
    return rows


def write_quarantine(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write what has no score, a JSON object a line."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def statistics(scores: Scores, labels: Labels) -> dict[str, float | None]:
    """Quantiles, mean and deviation of scores, and the means of those with a label above 0, and of 0."""
    quantiles = np.quantile(scores, [0.05, 0.5, 0.95])
    values = {
        "min": scores.min(),
        **dict(zip(("q05", "median", "q95"), quantiles, strict=True)),
        "max": scores.max(),
        "mean": scores.mean(dtype=np.float64),
        "std": scores.std(dtype=np.float64),
    }
    for name, kind in (("positives", labels > 0), ("negatives", labels == 0)):
        values[f"mean_of_{name}"] = scores[kind].mean(dtype=np.float64) if kind.any() else None
    return {name: None if value is None else round(float(value), 6) for name, value in values.items()}


def histogram(scores: Scores, labels: Labels) -> dict[str, list[float]]:
    """Counts in bins of equal width, of all scores and of those of positives; `edges` has one more than the counts."""
    counts, edges = np.histogram(scores, bins=BINS)
    positives, _ = np.histogram(scores[labels > 0], bins=edges)
    rounded = [round(float(edge), 6) for edge in edges]
    return {"edges": rounded, "pairs": counts.tolist(), "positives": positives.tolist()}
