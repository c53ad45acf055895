"""Rerankers' teachers, and what a teacher would read of corpora: both by way of the score store."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from decant.data.sets import Row, Split, write_split
from decant.errors import DecantError
from decant.models.scorer import Scores
from decant.retrieve.collection import Collection, collection_of
from decant.retrieve.settings import Retrieve
from decant.score.engines.base import engine_version
from decant.score.plan import count_all, estimate
from decant.score.settings import Ensemble, StoreSettings, Teacher, Teachers
from decant.score.store import Store, StoredTeacher, Tell
from decant.score.store.complete import SplitScores
from decant.score.store.identity import identity
from decant.score.teacher import TeacherScorer
from decant.score.work import Job, Source, read_work, store_folder, teacher_asked, teacher_folder

CORPUS = "{:<24} {:>12} {:>10} {:>12}"
WITHOUT = "set `reranking_teachers` of `retrieve` to false"


class StoredScorer:
    """A teacher that scores pairs, none of them twice: what it reads is kept where the stage `score` keeps it.

    Attributes:
        kind: of the teacher.
    """

    def __init__(self, teacher: Teacher, scorer: TeacherScorer, stored: StoredTeacher, shard: int) -> None:
        self.kind: str = teacher.kind
        self._scorer, self._stored, self._shard = scorer, stored, shard
        self._precision, self._origin = str(teacher.embeddings_dtype), {"engine": engine_version(teacher)}

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:
        """See `decant.models.scorer.Scorer.score`; minus infinity for a pair that can have no score."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "pairs.parquet"
            rows = [Row(query, unlabelled=[text]) for query, text in zip(queries, candidates, strict=True)]
            write_split(path, Split(rows, task))
            split = SplitScores(path, self._scorer.prompts, self._stored)
            split.set_long_aside(self._shard)
            split.complete(self._scorer, self._shard, self._precision, self._origin)
            scores = split.scores()
        scores[np.isnan(scores)] = -np.inf
        return scores


def plan_corpora(job: Job, sets: Iterable[str], settings: Retrieve, seed: int, tell: Tell) -> None:
    """Tell what a teacher would read of test sets' queries and whole corpora: nothing is embedded, written or locked.

    Args:
        job: of the teacher; what it scores for its track is another matter.
        sets: names of data sets.
        settings: what is searched, by how many queries.
        seed: of their draw.
        tell: takes each line.

    Raises:
        DecantError: the teacher makes no embeddings of its own, and see `read_collection`.
    """
    if isinstance(job.teacher, Ensemble) or job.teacher.kind != "bi_encoder":
        raise DecantError(f"the teacher is a {job.teacher.kind}, which searches no corpus", "plan without --corpus")
    with TemporaryDirectory() as folder:
        sources = {}
        for dataset in sets:
            collection = collection_of(dataset, settings, seed)
            for number, covering in enumerate(_covering(collection)):
                path = Path(folder) / f"{dataset}-{number}.parquet"
                write_split(path, covering)
                sources[path.stem if number else dataset] = Source(path, dataset, "test", None, {})
        work = read_work(replace(job, sources=sources), tell)
        counted = count_all(work)
        tell(CORPUS.format(f"{job.track}, corpora", "unique texts", "to read", "tokens"))
        for name, split in work.splits.items():
            tell(CORPUS.format(name, split.unique_texts, split.unread, counted[name][0]))
        unread = sum(tokens for tokens, _ in counted.values())
        tell(estimate(work, counted) if unread else "every text is embedded already")


def _covering(collection: Collection) -> Iterator[Split]:
    """Splits of pairs, one of each task, that have every query, and the first of them every document, at least once."""
    documents = collection.texts
    for part in collection.split.parts():
        each = -(-len(documents) // len(part.rows))
        chunks = [documents[at : at + each] for at in range(0, len(documents), each)]
        chunks += [collection.texts[:1]] * (len(part.rows) - len(chunks))
        rows = [Row(row.query, unlabelled=list(chunk)) for row, chunk in zip(part.rows, chunks, strict=True)]
        yield Split(rows, part.task)
        documents = collection.texts[:1]


@contextmanager
def open_reranking_teacher(teacher: Teachers, settings: StoreSettings, tell: Tell) -> Iterator[StoredScorer]:
    """A track's teacher, whose engines start when it reads the first pair. No other run changes its scores meanwhile.

    Raises:
        DecantError: it is an ensemble, or the environment forbids that it starts.
    """
    if isinstance(teacher, Ensemble):
        raise DecantError(f"the teacher is an ensemble of {len(teacher.members)}, which reranks no ranking", WITHOUT)
    if teacher_asked() == "never":
        raise DecantError("DECANT_TEACHER=never forbids that the teacher starts", WITHOUT)
    folder = teacher_folder(teacher, weights=True)
    with TeacherScorer(teacher, folder) as scorer:
        named = identity(teacher, folder, scorer.prompts)
        with Store(store_folder(settings), tell).open(named, teacher.model) as stored:
            yield StoredScorer(teacher, scorer, stored, settings.shard)
