"""Rows of a set with a teacher's scores made by hand, and draws from them."""

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, settings

from decant.data.scores import SCHEMA as SCORES
from decant.files import sha256, write_json
from decant.triplets.draw import PAIRS, SCHEMA, Draw
from decant.triplets.settings import Triplets
from decant.triplets.strategies import REPLAY

FUZZ = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

# The teacher's ranking is n4, p1, n1, n3, p2, n2. Scores are exact in float32.
ONE_QUERY = [
    ("q", "p1", 1, 0.875),
    ("q", "p2", 1, 0.25),
    ("q", "n1", 0, 0.75),
    ("q", "n2", 0, 0.125),
    ("q", "n3", 0, 0.5),
    ("q", "n4", 0, 1.0),
]
UNLABELLED = [(query, text, None, score) for query, text, _, score in ONE_QUERY]


class Drawn(NamedTuple):
    table: pa.Table
    queries: int
    too_few: int
    labelled: bool
    false_negatives: int
    relabelled: int


def scored(*rows) -> pa.Table:
    """The scores of these rows of a set, each a list of (query, candidate, label, score)."""
    pairs = [(number, *pair) for number, row in enumerate(rows) for pair in row]
    return pa.table([list(column) for column in zip(*pairs, strict=True)], schema=SCORES)


def drawing(strategy, positives, negatives, *, band=None, **false_negatives) -> Triplets:
    """Settings as given, those that params refuse as well: the draw takes every combination."""
    start, end = band or (None, None)
    return Triplets.model_construct(
        strategy=strategy,
        positives=positives,
        negatives=negatives,
        band_from=start,
        band_to=end,
        **false_negatives,
    )


def draw(scores, strategy, positives, negatives, seed, *, limit=PAIRS, **options) -> Drawn:
    """Draw from a table, or from record batches; of the guard set where the strategy is `replay`."""
    of_guard = REPLAY if strategy == "replay" else None
    drawn = Draw(drawing(strategy, positives, negatives, **options), seed, of_guard)
    batches = scores.to_batches() if isinstance(scores, pa.Table) else scores
    table = pa.Table.from_batches(drawn.batches(batches, limit), schema=SCHEMA)
    assert drawn.tuples == table.num_rows
    return Drawn(table, drawn.queries, drawn.too_few, drawn.labelled, drawn.false_negatives, drawn.relabelled)


def tuples(table: pa.Table) -> list[tuple]:
    assert table.schema == SCHEMA
    return [(r["query"], r["positive"], r["negatives"], r["scores"]) for r in table.to_pylist()]


def write_scores_file(folder: Path, table: pa.Table, replay: pa.Table | None = None) -> None:
    files = {}
    for name, scores in (("train.parquet", table), ("replay.parquet", replay)):
        if scores is not None:
            pq.write_table(scores, folder / name, row_group_size=4)
            files[name] = {"sha256": sha256(folder / name)}
    write_json(folder / "manifest.json", {"files": files})
