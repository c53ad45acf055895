"""Count what a split holds, a few thousand rows at a time."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant.data.sets import LISTS, ROWS_AT_ONCE


@dataclass(frozen=True)
class Counts:
    """Of a split."""

    queries: int
    pairs: int
    positives: int
    negatives: int
    unique_texts: int
    grades: dict[str, int]

    @classmethod
    def of(cls, path: Path) -> "Counts":
        """Count the rows of a split, and its texts in any role."""
        sizes = dict.fromkeys(LISTS, 0)
        grades: dict[int, int] = {}
        hashes = [np.empty(0, dtype=np.int64)]
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(8 * ROWS_AT_ONCE):
                texts = [batch.column("query")]
                for name in LISTS:
                    if name in batch.schema.names:
                        texts.append(batch.column(name).flatten())
                        sizes[name] += len(texts[-1])
                distinct = pa.chunked_array(texts).unique().to_pylist()
                hashes.append(np.unique(np.fromiter(map(hash, distinct), np.int64, len(distinct))))
                if "grades" in batch.schema.names:
                    for entry in pc.value_counts(batch.column("grades").flatten()).to_pylist():
                        grades[entry["values"]] = grades.get(entry["values"], 0) + entry["counts"]
            queries = file.metadata.num_rows
        unique = len(np.unique(np.concatenate(hashes)))
        by_grade = {str(grade): grades[grade] for grade in sorted(grades)}
        return cls(queries, sum(sizes.values()), sizes["positive"], sizes["negative"], unique, by_grade)

    def card(self) -> dict[str, Any]:
        """For the set's card: grades only where there are any."""
        return {name: value for name, value in asdict(self).items() if value or name != "grades"}
