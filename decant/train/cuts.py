"""Count the texts that a student cuts: those of the n-tuples that it learns from, and those of dev splits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.sets import read_task, stream_pairs
from decant.train.job import Job

# Data set → `n-tuples` or `dev` → what `decant.models.kind.ModelKind.count_cut` returns.
Cuts: TypeAlias = dict[str, dict[str, dict[str, Any]]]
TUPLES_AT_ONCE = 1 << 13


def count_cuts(job: Job, model: Any) -> Cuts:
    """What a student cuts of all that `train` reads."""
    params, task = job.params, read_task(job.dev)
    counts: Cuts = {
        params.in_domain: {
            "n-tuples": job.models.count_cut(model, pairs_of(job.tuples), task),
            "dev": job.models.count_cut(model, stream_pairs(job.dev), task),
        }
    }
    if job.guard_dev is not None:
        guard = job.models.count_cut(model, stream_pairs(job.guard_dev), read_task(job.guard_dev))
        counts.setdefault(params.guard, {})["dev"] = guard
    return counts


def pairs_of(path: Path) -> Iterator[pa.RecordBatch]:
    """The pairs of a file of n-tuples, in batches with the columns `query` and `candidate`."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(TUPLES_AT_ONCE, columns=["query", "positive", "negatives"]):
            negatives = batch.column("negatives")
            rows = np.concatenate([np.arange(len(batch)), negatives.value_parent_indices().to_numpy()])
            candidates = pa.concat_arrays([batch.column("positive"), negatives.flatten()])
            yield pa.record_batch({"query": batch.column("query").take(pa.array(rows)), "candidate": candidates})
