"""What `train` and `adapt` have to do, from params."""

from decant import paths
from decant.kinds import TRACKS
from decant.params import Params
from decant.sources.references import model_folder
from decant.train.job import Job


def training_job(params: Params, track: str) -> Job:
    """The training that params describe."""
    kind, block = TRACKS[track], params.track(track)
    student = block.student
    return Job(
        track,
        kind.models,
        kind.training,
        block,
        params.evaluate.batch_tokens,
        params.seed,
        folder=model_folder(student.model, student.revision, student.sha256, code=student.trust_remote_code),
        tuples=paths.TRIPLETS / f"{track}.parquet",
        dev=paths.split(block.in_domain, "dev"),
        guard_dev=None if block.guard is None else paths.split(block.guard, "dev"),
        scores=paths.SCORES / track if block.teacher.embeddings else None,
        resume=paths.RESUME / "train",
    )
