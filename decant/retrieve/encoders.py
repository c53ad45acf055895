"""Bi-encoders that embed a corpus: each text once, kept in the score store under what the model is."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from sentence_transformers import SentenceTransformer

from decant.data.digests import Keys, digests, first_occurrences, in_context
from decant.errors import DecantError
from decant.models.batches import token_budget
from decant.models.bi_encoder import embed
from decant.models.prompts import choose_prompts
from decant.models.scorer import Scores
from decant.progress import progress
from decant.score.engines.base import engine_version
from decant.score.prompts import make_prompts
from decant.score.settings import Ensemble, Teacher, Teachers
from decant.score.store import Store, StoredTeacher
from decant.score.store.identity import LAYOUT, identity
from decant.score.teacher import TeacherScorer
from decant.score.work import teacher_asked, teacher_folder

ROLES = ("query", "document")
WITHOUT = "set the `teacher` of `retrieve` to false"


class Encoder(Protocol):
    """A model that embeds texts.

    Attributes:
        name: which the store shows.
        identity: all that the embeddings depend on but the texts, as plain data.
        precision: in which they are kept: float32 or float16.
        origin: the engine that makes them, as plain data.
    """

    name: str
    identity: dict[str, Any]
    precision: str
    origin: dict[str, str]

    def contexts(self, task: str) -> tuple[str, str]:
        """What stands before queries and before documents."""

    def embed(self, role: str, texts: Sequence[str], task: str) -> Scores:
        """Embeddings of unit length, shape (texts, dimension), of queries or documents."""


class ModelEncoder:
    """A model in memory, whose weights, layers and prompts say what it is; see `Encoder`.

    Attributes:
        weights: their bytes.
    """

    precision = "float32"

    def __init__(self, model: SentenceTransformer, tokens: int | None, name: str) -> None:
        self._model, self._budget, self.name = model, token_budget(model, tokens), name
        self._prompts = choose_prompts(model.prompts)
        self.weights = sum(weights.nbytes for weights in model.parameters())
        digest = hashlib.sha256(repr(model).encode())
        for key, weights in model.state_dict().items():
            digest.update(key.encode())
            digest.update(weights.detach().cpu().float().contiguous().numpy().data)
        self.origin = {"engine": f"sentence-transformers {version('sentence-transformers')}"}
        self.identity = {
            "layout": LAYOUT,
            "kind": "bi_encoder",
            "model": f"weights:{digest.hexdigest()}",
            "engine": "sentence-transformers",
            "dtype": str(model.dtype).removeprefix("torch."),
            "max_length": model.max_seq_length,
            "prompts": dict(zip(ROLES, self._prompts, strict=True)),
            "embeddings": self.precision,
        }

    def contexts(self, task: str) -> tuple[str, str]:
        """See `Encoder.contexts`."""
        return self._prompts[0].replace("{task}", task), self._prompts[1]

    def embed(self, role: str, texts: Sequence[str], task: str) -> Scores:
        """See `Encoder.embed`."""
        prompt = self.contexts(task)[ROLES.index(role)]
        return embed(self._model, texts, prompt, self._budget, lambda _: None)


class TeacherEncoder:
    """A teacher, under the identity that the stage `score` gives it, so that what it has read costs nothing."""

    def __init__(self, teacher: Teacher, folder: Path, scorer: TeacherScorer) -> None:
        self.name, self.precision, self._scorer = teacher.model, str(teacher.embeddings_dtype), scorer
        self._prompts, self.origin = make_prompts(teacher, folder), {"engine": engine_version(teacher)}
        self.identity = identity(teacher, folder, self._prompts)

    def contexts(self, task: str) -> tuple[str, str]:
        """See `Encoder.contexts`."""
        return self._prompts.contexts(task)

    def embed(self, role: str, texts: Sequence[str], task: str) -> Scores:
        """See `Encoder.embed`.

        Raises:
            DecantError: the teacher cannot read a text.
        """
        [(_, outcome)] = self._scorer.read([(0, [(role, text) for text in texts])], task)
        for index, reason in outcome.faults.items():
            raise DecantError(f"the text {texts[index][:60]!r} has no embedding: {reason}", "take it out of the corpus")
        return outcome.values


class Embedder:
    """Embeds texts with an encoder, as far as the store lacks them."""

    def __init__(self, encoder: Encoder, stored: StoredTeacher, shard: int) -> None:
        self._encoder, self._stored, self._shard = encoder, stored, shard

    @contextmanager
    def embedded(self, role: str, texts: Sequence[str], task: str) -> Iterator[Scores]:
        """The embeddings of texts, at least one, shape (texts, dimension), in a file that goes with the context."""
        keys = in_context(digests(pa.array(texts, pa.string())), self._encoder.contexts(task)[ROLES.index(role)])
        self._complete(role, keys, texts, task)
        with self._stored.texts.gathered(self._stored.texts.find(keys)) as vectors:
            yield vectors

    def _complete(self, role: str, keys: Keys, texts: Sequence[str], task: str) -> None:
        first = first_occurrences(keys)
        missing = first[self._stored.texts.find(keys[first]) < 0]
        with progress(len(missing), "texts") as bar:
            for start in range(0, len(missing), self._shard):
                places = missing[start : start + self._shard]
                vectors = self._encoder.embed(role, [texts[place] for place in places], task)
                self._stored.texts.add(
                    keys[places], vectors.astype(np.dtype(self._encoder.precision)), self._encoder.origin
                )
                bar.update(len(places))


@contextmanager
def open_embedder(encoder: Encoder, store: Store, shard: int) -> Iterator[Embedder]:
    """An encoder with what the store has of it, which no other run changes meanwhile; `shard` texts are kept at once.

    After a kill, what was kept is not embedded again.
    """
    with store.open(encoder.identity, encoder.name) as stored:
        yield Embedder(encoder, stored, shard)


@contextmanager
def open_teacher(teacher: Teachers) -> Iterator[TeacherEncoder]:
    """A track's teacher, whose engines start when it embeds the first text.

    Raises:
        DecantError: it makes no embeddings of its own, or the environment forbids that it starts.
    """
    if isinstance(teacher, Ensemble) or teacher.kind != "bi_encoder":
        raise DecantError(f"the teacher is a {teacher.kind}, which searches no corpus", WITHOUT)
    if teacher_asked() == "never":
        raise DecantError("DECANT_TEACHER=never forbids that the teacher starts", WITHOUT)
    folder = teacher_folder(teacher, weights=True)
    with TeacherScorer(teacher, folder) as scorer:
        yield TeacherEncoder(teacher, folder, scorer)
