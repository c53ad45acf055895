"""What there is to know of a track's training before it begins."""

from dataclasses import dataclass
from pathlib import Path

from decant.blocks import Block
from decant.evaluate.settings import Evaluate
from decant.models.settings import Model, Student
from decant.train.kind import StudentKind
from decant.train.settings import Loss, Train


@dataclass(frozen=True)
class Job:
    """A track's training: its blocks of params, and where its inputs lie.

    Args:
        track: its name.
        kind: of the student.
        student, teacher, triplets, loss, train, evaluate: blocks of params.
        teacher_kind: its kind of model, for the model card.
        seed: of everything that is drawn.
        in_domain: the name of the data set.
        guard: the name of the guard set; None for none.
        replay: n-tuples of the guard set for each of the in-domain set.
        folder: the model that the student is made of.
        tuples: the n-tuples, Parquet.
        dev: the in-domain dev split.
        guard_dev: the guard set's dev split; None for none.
        scores: the folder of the teacher's embeddings; None for none.
        resume: the folder of checkpoints from which a killed training goes on.
    """

    track: str
    kind: StudentKind
    student: Student
    teacher: Model
    teacher_kind: str
    triplets: Block
    loss: Loss
    train: Train
    evaluate: Evaluate
    seed: int
    in_domain: str
    guard: str | None
    replay: float
    folder: Path
    tuples: Path
    dev: Path
    guard_dev: Path | None
    scores: Path | None
    resume: Path
