"""Train a track's student on its n-tuples, and the labels-only baseline beside it where params ask for it."""

import argparse
from pathlib import Path

from decant import paths
from decant.kinds import TRACKS
from decant.train.distributed import in_group
from decant.train.job import Job
from decant.train.run import Outputs, train_here, train_track
from stages import cli


def main(track: str) -> None:
    """Write models/<track>/, models/<track>-labels-only/, plots/<track>/ and data/cost/<track>/train.json."""
    models = paths.MODELS / track, paths.MODELS / f"{track}-labels-only"
    outputs = Outputs(*models, paths.PLOTS / track, paths.COST / track / "train.json")
    command = ["-W", "ignore::FutureWarning", "-m", "stages.train", track]
    train_track(job_of(track), cli.params().baselines.labels_only, outputs, command, print)


def job_of(track: str) -> Job:
    """The training that params describe."""
    params = cli.params()
    return Job.of(params, track, TRACKS[track], cli.student_folder(params.track(track).student))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=TRACKS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)  # how the processes of a group are started
    parser.add_argument("--tuples", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--labels-only", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.into is None:
        cli.run(f"train@{parsed.track}", lambda: main(parsed.track))
    in_group(lambda: train_here(job_of(parsed.track), parsed.labels_only, parsed.tuples, parsed.into, print))
