"""Draw a track's n-tuples from its teacher's scores and the labels."""

import argparse

import pyarrow.parquet as pq

from decant.files import atomic_file
from decant.scoring import read_scores
from decant.triplets import draw
from stages import cli


def main(track: str) -> None:
    """Write data/triplets/<track>.parquet."""
    params = cli.params()
    block = params.track(track).triplets
    scores = read_scores(cli.SCORES / track, "train")
    drawn = draw(scores, block.strategy, block.positives, block.negatives, params.seed)
    with atomic_file(cli.TRIPLETS / f"{track}.parquet") as partial:
        table = drawn.table.replace_schema_metadata({"labelled": str(drawn.labelled).lower()})
        pq.write_table(table, partial, compression="zstd")
    print(
        f"{track}: {drawn.table.num_rows} n-tuples of {drawn.queries} queries, {block.strategy}, "
        f"{block.negatives} negatives each; {drawn.too_few} left out for too few negatives"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=cli.TRACKS)
    arguments = parser.parse_args()
    cli.run(f"triplets@{arguments.track}", lambda: main(arguments.track))
