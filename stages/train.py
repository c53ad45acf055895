"""Train a track's student on its n-tuples, and the labels-only baseline beside it where params ask for it."""

import argparse
from pathlib import Path

from decant import paths
from decant.kinds import TRACKS
from decant.train.distributed import in_group
from decant.train.run import Outputs, train_here, train_track
from stages import cli
from stages.jobs import training_job


def main(track: str) -> None:
    """Write models/<track>/, models/<track>-labels-only/, plots/<track>/ and data/cost/<track>/train.json."""
    models = paths.MODELS / track, paths.MODELS / f"{track}-labels-only"
    outputs = Outputs(*models, paths.PLOTS / track, paths.COST / track / "train.json")
    command = ["-W", "ignore::FutureWarning", "-m", "stages.train", track]
    params = cli.params()
    train_track(training_job(params, track), params.baselines.labels_only, outputs, command, print)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=TRACKS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)  # how the processes of a group are started
    parser.add_argument("--tuples", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--labels-only", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.into is None:
        cli.run(f"train@{parsed.track}", lambda: main(parsed.track))
    job = training_job(cli.params(), parsed.track)
    in_group(lambda: train_here(job, parsed.labels_only, parsed.tuples, parsed.into, print))
