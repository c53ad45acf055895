"""What there is to know of a track's training before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant import paths

if TYPE_CHECKING:
    from decant.models.kind import ModelKind
    from decant.train.kind import TrainingKind


@dataclass(frozen=True)
class Job:
    """A track's training: how its student is made and trained, and where its inputs lie."""

    track: str
    models: "ModelKind"
    training: "TrainingKind"
    params: Any  # the track's block, `decant.params.Track`
    batch_tokens: int | None  # of a forward pass of an evaluation
    seed: int  # of everything that is drawn
    folder: Path  # the model that the student is made of
    tuples: Path  # Parquet
    dev: Path  # the in-domain dev split
    guard_dev: Path | None  # the guard set's
    scores: Path | None  # the folder of the teacher's embeddings
    resume: Path  # the folder of checkpoints from which a killed training goes on
    trackers: Sequence[str] = ()  # that show it while it runs

    @classmethod
    def of(cls, params: Any, track: str, kind: Any, folder: Path) -> "Job":
        """A track's training, from `decant.params.Params`, the kind of its student and the folder of the model."""
        block = params.track(track)
        return cls(
            track,
            kind.models,
            kind.training,
            block,
            params.evaluate.batch_tokens,
            params.seed,
            folder=folder,
            tuples=paths.TRIPLETS / f"{track}.parquet",
            dev=paths.split(block.in_domain, "dev"),
            guard_dev=None if block.guard is None else paths.split(block.guard, "dev"),
            scores=paths.SCORES / track if block.teacher.embeddings else None,
            resume=paths.RESUME / "train",
            trackers=params.trackers or (),
        )
