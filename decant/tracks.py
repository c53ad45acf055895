"""The block of params.yaml that describes a track."""

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import SerializeAsAny, create_model, model_validator
from pydantic.fields import FieldInfo

from decant.blocks import Amount, Block
from decant.fetch.settings import Mine
from decant.kinds import TRACKS, Kind
from decant.models.settings import Student
from decant.score.settings import Teachers
from decant.train.losses import LOSSES
from decant.train.settings import Loss, Train
from decant.triplets.settings import Triplets


class Adapt(Block):
    """How the track's teacher is trained before it teaches: as a student of another teacher, on the same sets."""

    teacher: Teachers
    """The model that teaches the teacher, or several; it may be the same model, untouched."""
    student: SerializeAsAny[Student]
    """The model that becomes the teacher."""
    triplets: Triplets
    """How n-tuples are drawn."""
    loss: Loss
    """What is learnt from them."""
    train: Train
    """How it is learnt: the shared `train`, and what is different here."""


class Track(Block):
    """A student and all that it is made of. `train` holds the shared settings, and what the track sets differently."""

    kind: ClassVar[Kind]

    in_domain: str
    """The data set that the student is trained for."""
    out_of_domain: str | None
    """The data set that shows what is lost elsewhere; null for none."""
    guard: str | None
    """A third data set, which training may look at so that the student unlearns less; null for none."""
    replay: Amount
    """n-tuples of the guard set that are mixed in, for each one of the in-domain set."""
    mine: Mine | None
    """Where candidates are searched for; null for sets that have them."""
    searcher: str | None = None
    """The track whose distilled student searches, where `mine.method` is `student`; null for none."""
    adapt: Adapt | None = None
    """How the teacher is trained first; null takes it as it is."""
    teacher: Teachers
    """The model whose scores are the targets, or several. One that `adapt` trains is `path:data/teachers/<track>`."""
    student: SerializeAsAny[Student]
    """The model that is trained."""
    triplets: Triplets
    """How n-tuples are drawn."""
    loss: Loss
    """What is learnt from them."""
    train: Train
    """How it is learnt: `train`, and what this track sets differently."""

    @property
    def test_sets(self) -> dict[str, str]:
        """The data sets whose test splits show what was gained and lost, by their domains."""
        return {"in_domain": self.in_domain, **({"out_of_domain": self.out_of_domain} if self.out_of_domain else {})}

    @property
    def adapting(self) -> "Track | None":
        """The track that trains this one's teacher; None where that is taken as it is."""
        if self.adapt is None:
            return None
        return self.model_copy(update={**dict(self.adapt), "adapt": None})

    @model_validator(mode="after")
    def _consistent(self) -> "Track":
        for fault in self._faults():
            raise ValueError(fault)
        if (adapting := self.adapting) is not None:
            for fault in adapting._faults():
                raise ValueError(f"adapt: {fault}")
        return self

    def _faults(self) -> Iterator[str]:
        kind, train, loss = self.kind, self.train, LOSSES[self.loss.name]
        if self.guard is None and self.replay > 0:
            yield f"`replay` is {self.replay}, and `guard` names no set to replay: name one, or set 0"
        if self.guard is None and train.interpolate:
            yield "`train.interpolate` is true, and `guard` names no set to keep up with: name one"
        named = [name for name in (self.in_domain, self.out_of_domain, self.guard) if name is not None]
        if len(set(named)) < len(named):
            yield (
                "in_domain, out_of_domain and guard must be three different sets, or null: training sees the guard "
                "set, and must not see the others' test splits"
            )
        if kind.name not in loss.kinds:
            able = [name for name, other in LOSSES.items() if kind.name in other.kinds]
            yield f"loss.name is {self.loss.name}, no loss of a {kind.name}: choose {' or '.join(able)}"
        if loss.embeddings and not self.teacher.embeddings:
            yield f"loss.name is {self.loss.name}, which needs the teacher's embeddings: set teacher.embeddings to true"
        if not kind.embeds and self.loss.in_batch:
            yield f"loss.in_batch is true, and a {kind.name} makes no embeddings: set it to false"
        if not kind.embeds and self.loss.spread_weight is not None:
            yield f"loss.spread_weight is of embeddings, and a {kind.name} makes none: set it to null"
        if not kind.embeds and self.loss.dimensions is not None:
            yield f"loss.dimensions is of embeddings, and a {kind.name} makes none: set it to null"
        if not kind.embeds and self.mine is not None and self.mine.method in ("dense", "both"):
            yield (
                f"mine.method is {self.mine.method}, which searches by the student's embeddings, and a {kind.name} "
                "makes none: set it to bm25, or to student"
            )
        by_student = self.mine is not None and self.mine.method == "student"
        if by_student != (self.searcher is not None):
            yield (
                f"mine.method is {self.mine.method if self.mine else None} and searcher is {self.searcher}: `student` "
                "searches with the distilled student of the track that `searcher` names, and the one needs the other"
            )
        if self.triplets.strategy == "teacher_top_k" and self.loss.label_weight > 0:
            yield "loss.label_weight: the strategy teacher_top_k sets labels aside: set label_weight to 0"
        if train.batch_size % train.processes:
            yield (
                f"train.processes: {train.processes} processes cannot share a batch of {train.batch_size}: "
                "make train.batch_size a multiple"
            )


def track_settings(name: str) -> type[Track]:
    """The settings of a track, by the kind of its student."""
    kind = TRACKS[name]

    def of_kind(block: type[Block]) -> Any:
        return (kind.student, FieldInfo(description=block.model_fields["student"].description))

    made_in: Any = {"__module__": __name__}
    adapt = create_model(f"Adapt_{name}", __base__=Adapt, __doc__=Adapt.__doc__, student=of_kind(Adapt), **made_in)
    described = FieldInfo(description=Track.model_fields["adapt"].description, default=None)
    fields: Any = {"student": of_kind(Track), "adapt": (adapt | None, described)}
    made = create_model(f"Track_{name}", __base__=Track, __doc__=Track.__doc__, **fields, **made_in)
    made.kind = kind
    return made
