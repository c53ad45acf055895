"""Draw a track's n-tuples from its teacher's scores and the labels."""

import argparse
from pathlib import Path

import pyarrow.parquet as pq

from decant.files import atomic_file
from decant.scores import open_scores
from decant.triplets import PAIRS, SCHEMA, Draw
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
    write_tuples(cli.SCORES / track, draw, cli.TRIPLETS / f"{track}.parquet")
    print(
        f"{track}: {draw.tuples} n-tuples of {draw.queries} queries, {block.strategy}, "
        f"{block.negatives} negatives each; {draw.too_few} left out for too few negatives"
    )
    if block.false_negative_margin is not None:
        print(f"{track}: {draw.false_negatives} negatives left out as false negatives, each once a positive")


def write_tuples(scores: Path, draw: Draw, path: Path) -> None:
    """Draw from the train split's scores in a folder.

    The file's metadata say whether all positives are by label, and where false negatives are looked for, how many.
    """
    with (
        open_scores(scores, "train") as pairs,
        atomic_file(path) as partial,
        pq.ParquetWriter(partial, SCHEMA, compression="zstd") as file,
    ):
        for batch in draw.batches(pairs.iter_batches(PAIRS)):
            file.write_batch(batch)
        counts = {} if draw.margin is None else {"false_negatives": str(draw.false_negatives)}
        file.add_key_value_metadata({"labelled": str(draw.labelled).lower(), **counts})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=cli.TRACKS)
    arguments = parser.parse_args()
    cli.run(f"triplets@{arguments.track}", lambda: main(arguments.track))
