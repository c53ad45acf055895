"""Train a track's teacher before it teaches, where its params say so: score, draw n-tuples and train as for a student.

The scores of the model that teaches the teacher go into the score store, as any teacher's.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from decant import paths
from decant.files import atomic_folder
from decant.kinds import TRACKS
from decant.score.run import score_track
from decant.score.work import Job
from decant.train import job as train_job
from decant.train.run import Outputs, train_track
from decant.triplets.run import write_tuples
from stages import cli

READ = ("train", "replay")  # the splits that training reads


def main(track: str) -> None:
    """Write data/teachers/<track>/: the adapted teacher, or a file that says that there is none."""
    params, target = cli.params(), paths.TEACHERS / track
    adapting = params.track(track).adapting
    if adapting is None:
        with atomic_folder(target) as folder:
            (folder / "README.md").write_text(f"{track}.adapt is null: the teacher is taken as it is.\n")
        return
    params = params.model_copy(update={track: adapting})
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{track}-", suffix=".partial") as scratch:
        scores, tuples = Path(scratch) / "scores" / track, Path(scratch) / "tuples.parquet"
        job = Job.of(params, track)
        of_training = {name: source for name, source in job.sources.items() if name.partition(".")[0] in READ}
        score_track(replace(job, sources=of_training), scores, print)
        draw, replayed = write_tuples(scores, adapting.triplets, tuples, params.seed, adapting.replay)
        drawn = f"{draw.tuples} n-tuples of {draw.queries} queries, and {replayed} replayed"
        print(f"{track}: the teacher is trained on {drawn}")
        outputs = Outputs(target, *(Path(scratch) / name for name in ("baseline", "plots", "cost.json")))
        training = replace(
            train_job.Job.of(params, track, TRACKS[track], cli.student_folder(adapting.student)),
            tuples=tuples,
            scores=scores if adapting.teacher.embeddings else None,
            resume=paths.RESUME / "adapt",
        )
        train_track(training, False, outputs, (), print)


if __name__ == "__main__":
    cli.run_track("adapt", main, __doc__)
