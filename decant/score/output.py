"""Write teacher scores, with what the manifest says of them: that they are sane, and where they come from."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.scores import SCHEMA
from decant.data.sets import stream_pairs
from decant.files import atomic_file, sha256
from decant.models.scorer import Scores
from decant.score.sanity import Order, check_values
from decant.score.store.complete import SplitScores

BINS = 20
QUARANTINE = "quarantine.jsonl"


def write_scores(split: SplitScores, path: Path) -> dict[str, Any]:
    """Write the pairs of a completed split that have a score; return what the manifest says of the Parquet file.

    Raises:
        DecantError: the scores cannot be right; see `decant.score.sanity`.
    """
    scores = split.scores()
    there = split.positions >= 0
    labels = [np.empty(0, dtype=np.int8)]
    order = Order()
    start = queries = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for batch in stream_pairs(split.path):
            mask = there[start : start + len(batch)]
            kept, score = batch.filter(pa.array(mask)), scores[start : start + len(batch)][mask]
            start += len(batch)
            writer.write_batch(pa.record_batch([*kept.columns, pa.array(score)], schema=SCHEMA))
            row = kept.column("row").to_numpy()
            labels.append(kept.column("label").fill_null(-1).to_numpy(zero_copy_only=False))
            queries += int(np.count_nonzero(np.diff(row, prepend=-1)))
            order.add(row, labels[-1], score)
    check_values(split.distinct(scores), path.stem)
    order.check(path.stem)
    score, label = scores[there], np.concatenate(labels)
    return {
        "sha256": sha256(path),
        "queries": queries,
        "pairs": len(score),
        "unique_texts": split.unique_texts,
        "quarantined": int((~there).sum()),
        "scores": _statistics(score, label),
        "histogram": _histogram(score, label),
        "origins": [{**json.loads(origin), "pairs": count} for origin, count in split.origins().items()],
    }


def quarantine(splits: Mapping[str, SplitScores]) -> list[dict[str, Any]]:
    """The pairs whose score is known to be out of reach, as rows of the quarantine file, with the reason."""
    rows: list[dict[str, Any]] = []
    for name, split in splits.items():
        start = 0
        for batch in stream_pairs(split.path) if split.faults else ():
            lost = np.flatnonzero(split.positions[start : start + len(batch)] < 0)
            for place, pair in zip(lost.tolist(), batch.take(pa.array(lost)).to_pylist(), strict=True):
                if reason := split.reason(start + place):
                    rows.append({"split": name, **pair, "reason": reason})
            start += len(batch)
    return rows


def write_quarantine(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write what has no score, a JSON object a line."""
    with atomic_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _statistics(scores: Scores, labels: npt.NDArray[np.int8]) -> dict[str, float | None]:
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


def _histogram(scores: Scores, labels: npt.NDArray[np.int8]) -> dict[str, list[float]]:
    """Counts in bins of equal width, of all scores and of those of positives; `edges` has one more than the counts."""
    counts, edges = np.histogram(scores, bins=BINS)
    positives, _ = np.histogram(scores[labels > 0], bins=edges)
    rounded = [round(float(edge), 6) for edge in edges]
    return {"edges": rounded, "pairs": counts.tolist(), "positives": positives.tolist()}
