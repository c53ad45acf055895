"""Count the texts that a student cuts: those of the n-tuples that it learns from, and those of dev splits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant.data.pairs import stream_pairs
from decant.data.sets import read_task
from decant.train.columns import SET
from decant.train.job import Job

# Data set → `n-tuples` or `dev` → what `decant.models.kind.ModelKind.count_cut` returns.
Cuts: TypeAlias = dict[str, dict[str, dict[str, Any]]]
TUPLES_AT_ONCE = 1 << 13


def count_cuts(job: Job, model: Any) -> Cuts:
    """What a student cuts of all that `train` reads."""
    params, task = job.params, read_task(job.dev)
    counts: Cuts = {
        name or params.in_domain: {
            "n-tuples": job.models.count_cut(model, pairs_of(job.tuples, name), of_set),
            "dev": job.models.count_cut(model, stream_pairs(job.dev, name), of_set),
        }
        for name, of_set in (task.sets or {"": task}).items()
    }
    if job.guard_dev is not None:
        guard = job.models.count_cut(model, stream_pairs(job.guard_dev), read_task(job.guard_dev))
        counts.setdefault(params.guard, {})["dev"] = guard
    return counts


def pairs_of(path: Path, name: str = "") -> Iterator[pa.RecordBatch]:
    """The pairs of a file of n-tuples, in batches with the columns `query` and `candidate`.

    With the `name` of one of a union's sets they are those of its n-tuples alone.
    """
    with pq.ParquetFile(path, pre_buffer=False) as file:
        columns = ["query", "positive", "negatives", *([SET] if name else [])]
        for read in file.iter_batches(TUPLES_AT_ONCE, columns=columns):
            batch = read.filter(pc.equal(read.column(SET), name)) if name else read
            negatives = batch.column("negatives")
            rows = np.concatenate([np.arange(len(batch)), negatives.value_parent_indices().to_numpy()])
            candidates = pa.concat_arrays([batch.column("positive"), negatives.flatten()])
            yield pa.record_batch({"query": batch.column("query").take(pa.array(rows)), "candidate": candidates})
