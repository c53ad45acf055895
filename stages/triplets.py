"""Draw a track's n-tuples from its teacher's scores and the labels."""

from decant import paths
from decant.triplets.run import write_tuples
from stages import cli


def main(track: str) -> None:
    """Write data/triplets/<track>.parquet."""
    params = cli.params()
    block = params.track(track)
    settings = block.triplets
    path = paths.TRIPLETS / f"{track}.parquet"
    draw, replayed = write_tuples(paths.SCORES / track, settings, path, params.seed, block.replay)
    print(
        f"{track}: {draw.tuples} n-tuples of {draw.queries} queries, {settings.strategy}, "
        f"{settings.negatives} negatives each; {draw.too_few} left out for too few negatives"
    )
    if settings.finds_false_negatives:
        print(f"{track}: {draw.false_negatives} negatives left out as false negatives, each once a positive")
    if settings.false_negatives == "relabel":
        print(f"{track}: {draw.relabelled} negatives relabelled as positives")
    if block.replay:
        print(f"{track}: {replayed} n-tuples of {block.guard} are replayed")


if __name__ == "__main__":
    cli.run_track("triplets", main, __doc__)
