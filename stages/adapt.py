"""Train a track's teacher before it teaches, where its params say so: score, draw n-tuples, train as for a student."""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from decant import paths
from decant.files import atomic_folder
from decant.kinds import TRACKS
from decant.params import Params
from decant.score.run import score_track
from decant.score.work import Job
from decant.train import job as train_job
from decant.triplets.run import write_tuples
from stages import cli


def main(track: str) -> None:
    """Write data/teachers/<track>/: the adapted teacher, or a file that says that there is none."""
    params, target = cli.params(), paths.TEACHERS / track
    if (adapting := params.track(track).adapting) is None:
        with atomic_folder(target) as folder:
            (folder / "README.md").write_text(f"{track}.adapt is null: the teacher is taken as it is.\n")
        return
    from decant.train.run import Outputs, train_track  # which takes seconds, and most runs adapt no teacher

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{track}-", suffix=".partial") as scratch:
        training, scores = job_of(params, track, Path(scratch)), Path(scratch) / "scores" / track
        job = Job.of(params.model_copy(update={track: adapting}), track)
        of_training = {name: source for name, source in job.sources.items() if name.startswith(("train", "replay"))}
        score_track(replace(job, sources=of_training), scores, print)
        draw, replayed = write_tuples(scores, adapting.triplets, training.tuples, params.seed, adapting.replay)
        print(f"{track}: the teacher learns from {draw.tuples} n-tuples of {draw.queries} queries, {replayed} replayed")
        outputs = Outputs(target, *(Path(scratch) / name for name in ("baseline", "plots", "cost.json")))
        command = ["-W", "ignore::FutureWarning", "-m", "stages.adapt", track, "--scratch", scratch]
        train_track(training, False, outputs, command, print)


def job_of(params: Params, track: str, scratch: Path) -> train_job.Job:
    """The training of the teacher, on what lies in a folder of the stage's own."""
    params = params.model_copy(update={track: params.track(track).adapting})
    job = train_job.Job.of(params, track, TRACKS[track], cli.student_folder(params.track(track).student))
    scores = scratch / "scores" / track if job.scores else None
    return replace(job, tuples=scratch / "tuples.parquet", scores=scores, resume=paths.RESUME / "adapt")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=TRACKS)
    for option in ("--scratch", "--into", "--tuples"):  # how the processes of a group are started
        parser.add_argument(option, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.into is None:
        cli.run(f"adapt@{args.track}", lambda: main(args.track))
    from decant.train.distributed import in_group
    from decant.train.run import train_here

    in_group(lambda: train_here(job_of(cli.params(), args.track, args.scratch), False, args.tuples, args.into, print))
