"""Draw a track's n-tuples from its teacher's scores and the labels."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decant import paths
from decant.data.scores import open_scores
from decant.files import atomic_file
from decant.triplets.draw import PAIRS, SCHEMA, Draw
from stages import cli


def main(track: str) -> None:
    """Write data/triplets/<track>.parquet."""
    params = cli.params()
    block = params.track(track).triplets
    draw = Draw(
        block.strategy,
        block.positives,
        block.negatives,
        params.seed,
        band=block.band,
        false_negative_margin=block.false_negative_margin,
    )
    guard = params.track(track).guard
    replayed = write_tuples(paths.SCORES / track, draw, paths.TRIPLETS / f"{track}.parquet", guard.replay, params.seed)
    print(
        f"{track}: {draw.tuples} n-tuples of {draw.queries} queries, {block.strategy}, "
        f"{block.negatives} negatives each; {draw.too_few} left out for too few negatives"
    )
    if block.false_negative_margin is not None:
        print(f"{track}: {draw.false_negatives} negatives left out as false negatives, each once a positive")
    if guard.replay:
        print(f"{track}: {replayed} n-tuples of {guard.dataset} are replayed")


def write_tuples(scores: Path, draw: Draw, path: Path, replay: float = 0.0, seed: int = 0) -> int:
    """Draw from the train split's scores in a folder, and where `replay` says, from the guard set's too.

    The file's metadata say whether all positives are by label, how many n-tuples at its end are replayed, and where
    false negatives are looked for, how many.

    Args:
        scores: of the track.
        draw: of the track's n-tuples.
        path: of the file.
        replay: n-tuples of the guard set wanted for each of the track's; each of its queries gives one at most.
        seed: of their choice.

    Returns:
        how many are replayed.
    """
    with (
        open_scores(scores, "train") as pairs,
        atomic_file(path) as partial,
        pq.ParquetWriter(partial, SCHEMA, compression="zstd") as file,
    ):
        for batch in draw.batches(pairs.iter_batches(PAIRS)):
            file.write_batch(batch)
        counts = {} if draw.margin is None else {"false_negatives": str(draw.false_negatives)}
        replayed = 0
        if replay:
            table = _replayed(scores, draw.negatives, round(replay * draw.tuples), seed)
            file.write_table(table)
            replayed = len(table)
            counts["replayed"] = str(replayed)
        file.add_key_value_metadata({"labelled": str(draw.labelled).lower(), **counts})
    return replayed


def _replayed(scores: Path, negatives: int, count: int, seed: int) -> pa.Table:
    """So many n-tuples of the guard set at random, or all of them, in the set's order."""
    with open_scores(scores, "replay") as pairs:
        table = pa.Table.from_batches(Draw("replay", 1, negatives, seed).batches(pairs.iter_batches(PAIRS)), SCHEMA)
    chosen = np.random.default_rng(seed).permutation(len(table))[:count]
    return table.take(np.sort(chosen))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=TRACKS)
    arguments = parser.parse_args()
    cli.run(f"triplets@{arguments.track}", lambda: main(arguments.track))
