"""What is to be scored for a track, and what the score store has of it."""

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from decant import paths
from decant.errors import DecantError
from decant.files import user_cache
from decant.models.scorer import Scorer
from decant.score.prompts import Prompts, make_prompts
from decant.score.settings import Ensemble, StoreSettings, Teacher
from decant.score.store import Store, StoredTeacher, Tell, read_notes
from decant.score.store.complete import SplitScores
from decant.score.store.identity import digest, identity
from decant.score.teacher import TeacherScorer
from decant.sources.references import model_folder, tokenizer_folder

TRAINED_ON = ("train", "replay")  # the files whose texts' embeddings are kept beside the scores, where they are wanted
FoundTeacher: TypeAlias = tuple[Teacher, Path, Prompts, dict[str, Any]]  # with its folder, its prompts, its identity
RAN_ON = "ran_on"  # the kind of notes in the store: machine → the teacher's engine and size there


@dataclass(frozen=True)
class Source:
    """A split that is scored, or its rows of one of a union's sets: its file, and what the manifest says of it."""

    path: Path
    dataset: str
    split: str
    revision: str | None
    packages: Mapping[str, str]
    of_union: bool = False  # whether `dataset` names one of a union's sets, whose rows alone these are


@dataclass(frozen=True)
class Job:
    """What is to be scored for a track, and by which teacher, or by which several."""

    track: str
    teacher: Teacher | Ensemble
    store: StoreSettings
    seed: int  # of the pairs that the self-test draws
    sources: dict[str, Source]  # by the name of the file of scores: `train`, or `train.own` of a union's set `own`

    @classmethod
    def of(cls, params: Any, track: str) -> "Job":
        """A track's job, from `decant.params.Params`: the train split that `mine` made, test splits, what is replayed.

        Raises:
            DecantError: `mine` has made nothing yet.
        """
        block = params.track(track)
        splits = {"train": (block.in_domain, "train"), "test_in_domain": (block.in_domain, "test")}
        if block.out_of_domain is not None:
            splits["test_out_of_domain"] = (block.out_of_domain, "test")
        if block.guard is not None and block.replay > 0:
            splits["replay"] = (block.guard, "train")
        mined = paths.MINED / f"{track}.parquet"
        if not mined.is_file():
            raise DecantError(f"{mined}: the train split is not there", f"run `dvc repro mine@{track}`")
        sources = {}
        for name, (dataset, split) in splits.items():
            path = mined if name == "train" else paths.split(dataset, split)
            for member in params.members(dataset):
                described, of_union = params.datasets[member], member != dataset
                source = Source(path, member, split, described.revision, described.packages, of_union)
                sources[f"{name}.{member}" if of_union else name] = source
        return cls(track, block.teacher, params.store, params.seed, sources)

    @property
    def of_members(self) -> dict[str, "Job"]:
        """The jobs of an ensemble's teachers, in the order of params, by words for each; of one teacher its own."""
        members = self.teacher.members
        return {
            f"teacher {number} of {len(members)} ({member.model})": replace(self, teacher=member)
            for number, member in enumerate(members, 1)
        }


class Work:
    """The job of one teacher with what the store has of it, and its splits by the names of their files."""

    def __init__(self, job: Job, store: Store, stored: StoredTeacher, found: FoundTeacher) -> None:
        self.job, self.store, self.stored = job, store, stored
        self.teacher, self.folder, self.prompts, self.identity = found
        self.splits = {
            name: SplitScores(
                source.path,
                self.prompts,
                stored,
                embeddings=self.teacher.embeddings and name.partition(".")[0] in TRAINED_ON,
                name=source.dataset if source.of_union else "",
            )
            for name, source in job.sources.items()
        }

    @property
    def unread(self) -> int:
        """Texts or pairs that the teacher must read."""
        return sum(split.unread for split in self.splits.values())

    @property
    def missing(self) -> int:
        """Pairs without a score."""
        return sum(split.missing for split in self.splits.values())

    @property
    def whole(self) -> StoredTeacher | None:
        """What the store has of the teacher with whole embeddings, to read alone; None where they are not cut."""
        teacher = self.teacher
        if teacher.dimensions is None:
            return None
        return self.store.read(identity(teacher.model_copy(update={"dimensions": None}), self.folder, self.prompts))

    @property
    def embedded(self) -> dict[str, SplitScores]:
        """The splits of whose texts the embeddings are wanted too."""
        return {name: split for name, split in self.splits.items() if split.embeddings}

    @property
    def without_embedding(self) -> int:
        """Texts whose embedding is wanted, and must be read."""
        return sum(split.unread for split in self.embedded.values())

    def look(self) -> None:
        """Look up what the store has by now."""
        for split in self.splits.values():
            split.look()


@contextmanager
def open_work(job: Job, tell: Tell) -> Iterator[Work]:
    """A job's work, to read and to write: the teacher is locked in the store. No weights of a hub are downloaded."""
    found, store = _find_teacher(job.teacher), Store(store_folder(job.store), tell)
    with store.open(found[-1], found[0].model) as stored:
        yield Work(job, store, stored, found)


def read_work(job: Job, tell: Tell) -> Work:
    """A job's work, to read alone: nothing is locked or written."""
    found, store = _find_teacher(job.teacher), Store(store_folder(job.store), tell)
    return Work(job, store, store.read(found[-1]), found)


def _find_teacher(teacher: Teacher | Ensemble) -> FoundTeacher:
    assert isinstance(teacher, Teacher), "the members of an ensemble have jobs of their own: Job.of_members"
    folder = teacher_folder(teacher, weights=False)
    prompts = make_prompts(teacher, folder)
    return teacher, folder, prompts, identity(teacher, folder, prompts)


def store_folder(settings: StoreSettings) -> Path:
    """The store that params name, or the one in the user's cache folder."""
    return Path(settings.folder).expanduser() if settings.folder else user_cache() / "scores"


def teacher_folder(teacher: Teacher, *, weights: bool) -> Path:
    """A teacher's model on this machine; without weights, of a hub's the configuration and the tokenizer alone.

    The engine `server` needs no weights.

    Raises:
        DecantError: nothing is there, or it is not what params say; see `decant.sources.references`.
    """
    if teacher.server is not None or (teacher.revision is not None and not weights):
        return tokenizer_folder(teacher.model, teacher.revision, code=teacher.trust_remote_code)
    return model_folder(teacher.model, teacher.revision, teacher.sha256, code=teacher.trust_remote_code)


def has_run_here(teacher: Teacher, store: StoreSettings) -> bool:
    """Whether the store's notes say that a teacher, if it can be found, has scored something on this very machine."""
    try:
        name = digest(_find_teacher(teacher)[-1])
    except DecantError:
        return False
    return platform.node() in read_notes(store_folder(store) / name, RAN_ON)


def teacher_asked() -> str:
    """DECANT_TEACHER: "never" forbids that a teacher starts, "start" has it run though its scores exist elsewhere."""
    return os.environ.get("DECANT_TEACHER", "")


def timed_teacher(teacher: Teacher | Ensemble, store: StoreSettings) -> AbstractContextManager[Scorer] | str:
    """Opens the teacher, to be timed beside the student; or why not: it must not start, or has not run here.

    Nor is an ensemble timed: its models would all have to be in memory at once.
    """
    if isinstance(teacher, Ensemble):
        return f"the teacher is an ensemble of {len(teacher.members)}, and one model alone is timed beside the student"
    if teacher_asked() == "never":
        return "DECANT_TEACHER=never forbids that the teacher starts"
    if not has_run_here(teacher, store):
        return "the teacher has not run on this machine, its scores were there already"
    return TeacherScorer(teacher, teacher_folder(teacher, weights=True))
