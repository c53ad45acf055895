"""A track's teacher as its block of params says, and what the score store holds of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decant import paths
from decant.errors import DecantError
from decant.files import sha256, user_cache
from decant.params import Params
from decant.score.engines import ServerSpec, TeacherSpec
from decant.score.prompts import Prompts
from decant.score.store import Held, Store
from decant.score.store.complete import SplitScores
from decant.score.store.identity import identity
from decant.score.teacher import make_prompts
from decant.sources.references import model_folder, tokenizer_folder

TRAINED_ON = ("train", "replay")  # the files whose texts' embeddings are kept beside the scores, where they are wanted


@dataclass(frozen=True)
class Work:
    """A track's scores to be: its splits by the name of their file, and what the store holds of its teacher."""

    track: str
    params: Params
    prompts: Prompts
    identity: dict[str, Any]
    store: Store
    held: Held
    splits: dict[str, SplitScores]

    @property
    def reference(self) -> str:
        """Of the teacher's model."""
        return self.params.track(self.track).teacher.model

    @property
    def unread(self) -> int:
        """Texts or pairs that the teacher must read."""
        return sum(split.unread for split in self.splits.values())

    @property
    def missing(self) -> int:
        """Pairs without a score."""
        return sum(split.missing for split in self.splits.values())

    @property
    def embedded(self) -> dict[str, SplitScores]:
        """The splits of whose texts the embeddings are wanted too."""
        return {name: split for name, split in self.splits.items() if split.embeddings}

    @property
    def without_embedding(self) -> int:
        """Texts whose embedding is wanted, and must be read."""
        return sum(split.unread for split in self.embedded.values())

    def look(self) -> None:
        """Look up what the store holds by now."""
        for split in self.splits.values():
            split.look()


@contextmanager
def opened(params: Params, track: str) -> Iterator[Work]:
    """A track's work, its teacher's place in the store locked. No weights are read or downloaded."""
    block = params.track(track).teacher
    spec = teacher_spec(params, track, weights=False)
    prompts = make_prompts(spec)
    teacher = identity(spec, prompts, block.model, block.revision, params.store.embeddings)
    store = score_store(params, track)
    with store.open(teacher, block.model) as held:
        splits = {
            name: SplitScores(path, block.kind, prompts, held, embeddings=block.embeddings and name in TRAINED_ON)
            for name, path in split_paths(params, track).items()
        }
        yield Work(track, params, prompts, teacher, store, held, splits)


def sources(params: Params, track: str) -> dict[str, tuple[str, str]]:
    """What is scored: name of the file → data set, split."""
    block = params.track(track)
    found = {"train": (block.in_domain, "train"), "test_in_domain": (block.in_domain, "test")}
    if block.out_of_domain is not None:
        found["test_out_of_domain"] = (block.out_of_domain, "test")
    if block.guard.dataset is not None and block.guard.replay > 0:
        found["replay"] = (block.guard.dataset, "train")
    return found


def split_paths(params: Params, track: str) -> dict[str, Path]:
    """Where that is: of train, what the stage `mine` made of it.

    Raises:
        DecantError: it has made nothing yet.
    """
    paths = {
        name: paths.SETS / dataset / f"{split}.parquet" for name, (dataset, split) in sources(params, track).items()
    }
    paths["train"] = paths.MINED / f"{track}.parquet"
    if not paths["train"].is_file():
        raise DecantError(f"{paths['train']}: the train split is not there", f"run `dvc repro mine@{track}`")
    return paths


def described_data(work: Work) -> dict[str, Any]:
    """What the manifest says of the data."""
    return {
        name: {
            "dataset": dataset,
            "split": split,
            "task": work.splits[name].task,
            "revision": work.params.datasets[dataset].revision,
            "packages": work.params.datasets[dataset].packages,
            "sha256": sha256(work.splits[name].path),
        }
        for name, (dataset, split) in sources(work.params, work.track).items()
    }


def score_store(params: Params, name: str) -> Store:
    """The store that params name, or the one in the user's cache folder."""
    folder = params.store.folder
    return Store(
        Path(folder).expanduser() if folder else user_cache() / "scores", lambda text: print(f"{name}: {text}")
    )


def teacher_spec(params: Params, track: str, *, weights: bool) -> TeacherSpec:
    """What the track's block of params says of its teacher, its files resolved.

    Args:
        params: all of them.
        track: whose teacher.
        weights: whether the weights are wanted too; without, nothing but configuration and tokenizer is downloaded.
    """
    block = params.track(track).teacher
    fields: dict[str, Any] = block.model_dump(exclude={"model", "revision", "sha256", "server", "embeddings"})
    if block.engine == "server" or (block.revision is not None and not weights):
        folder = tokenizer_folder(block.model, block.revision, code=block.trust_remote_code)
    else:
        folder = model_folder(block.model, block.revision, block.sha256, code=block.trust_remote_code)
    return TeacherSpec(folder=folder, server=ServerSpec(**block.server.model_dump()), **fields)


def never() -> bool:
    """Whether the environment forbids that a teacher is started."""
    return os.environ.get("DECANT_TEACHER") == "never"


def wanted_again() -> bool:
    """Whether the environment says that a teacher is to run though its scores exist elsewhere."""
    return os.environ.get("DECANT_TEACHER") == "start"
