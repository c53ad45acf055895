"""Draw a track's n-tuples, and those that are replayed, into one file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.scores import open_scores
from decant.files import atomic_file
from decant.triplets.draw import PAIRS, SCHEMA, Draw
from decant.triplets.settings import Triplets
from decant.triplets.strategies import REPLAY


def write_tuples(scores: Path, settings: Triplets, path: Path, seed: int = 0, replay: float = 0.0) -> tuple[Draw, int]:
    """Draw n-tuples from the train split's scores in a folder, and where `replay` says, from the guard set's too.

    The file's metadata say whether all positives are by label, how many n-tuples at its end are replayed, and how many
    false negatives were left out, where they are looked for.

    Args:
        scores: the track's folder.
        settings: of the draw.
        path: of the file.
        seed: of every random choice.
        replay: n-tuples of the guard set for each of the track's; each of its queries gives one at most.

    Returns:
        the draw with its counts, and how many n-tuples are replayed.

    Raises:
        DecantError: no row has enough negatives, or scores are missing or not those of the manifest.
    """
    draw = Draw(settings, seed)
    with (
        open_scores(scores, "train") as pairs,
        atomic_file(path) as partial,
        pq.ParquetWriter(partial, SCHEMA, compression="zstd") as file,
    ):
        for batch in draw.batches(pairs.iter_batches(PAIRS)):
            file.write_batch(batch)
        counts = {} if settings.false_negative_margin is None else {"false_negatives": str(draw.false_negatives)}
        replayed = 0
        if replay:
            table = _replayed(scores, settings.negatives, round(replay * draw.tuples), seed)
            file.write_table(table)
            replayed = len(table)
            counts["replayed"] = str(replayed)
        file.add_key_value_metadata({"labelled": str(draw.labelled).lower(), **counts})
    return draw, replayed


def _replayed(scores: Path, negatives: int, count: int, seed: int) -> pa.Table:
    """So many n-tuples of the guard set at random, or all of them, in the set's order."""
    draw = Draw(Triplets(strategy="teacher_top_k", positives=1, negatives=negatives), seed, REPLAY)
    with open_scores(scores, "replay") as pairs:
        table = pa.Table.from_batches(draw.batches(pairs.iter_batches(PAIRS)), SCHEMA)
    chosen = np.random.default_rng(seed).permutation(len(table))[:count]
    return table.take(np.sort(chosen))
