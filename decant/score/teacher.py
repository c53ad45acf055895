"""A teacher at work: its prompts and one engine or several, which together score pairs."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from decant.errors import DecantError
from decant.models.scorer import Scores
from decant.score.engines.pool import Engines, start
from decant.score.engines.robust import NOT_FINITE, Figures, Outcome, added
from decant.score.prompts import Item, make_prompts
from decant.score.settings import Teacher

# Prompts that an engine gets at once, where nothing else is asked for. Batches never reach over a shard's end, so that
# scores depend neither on the number of engines nor on what else is scored.
SHARD = 4096
BLOCK = 16384  # pairs whose vectors are gathered at once


class TeacherScorer:
    """Scores pairs; each distinct text of a bi-encoder and each distinct pair of the others is read once a call.

    Its engines start when the first pairs are scored, and end when the context is left. Token ids are made shard by
    shard, as the engines take them. The folder has the teacher's model; of a server's, the tokenizer.
    """

    def __init__(self, teacher: Teacher, folder: Path) -> None:
        self.kind: str = teacher.kind
        self.prompts = make_prompts(teacher, folder)
        self._teacher, self._folder = teacher, folder
        self._engines: Engines | None = None
        self.figures: Figures = {}  # what the engines took, their start included

    def read(self, shards: Iterable[tuple[int, Sequence[Item]]], task: str) -> Iterator[tuple[int, Outcome]]:
        """Have numbered shards of items read; their outcomes come in any order, as soon as they are there."""
        if self._engines is None:
            self._engines = start(self._teacher, self._folder)
        built = ((number, self.prompts.build(items, task)) for number, items in shards)
        for number, outcome in self._engines.map(built):
            self.figures = added(self.figures, outcome.figures)
            yield number, outcome

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:
        """See `decant.models.scorer.Scorer.score`.

        Raises:
            DecantError: a query leaves no room for a document, or the engine cannot score a text.
        """
        items, numbers = self.prompts.distinct(queries, candidates, task)
        shards = ((at, items[at : at + SHARD]) for at in range(0, len(items), SHARD))
        parts = dict(self.read(shards, task))
        for outcome in parts.values():
            for index, reason in outcome.faults.items():
                if reason != NOT_FINITE:
                    raise DecantError(f"text {index} has no score: {reason}", "look at the text, and at the engine")
        results = np.concatenate([parts[at].values for at in sorted(parts)])
        if not self.prompts.of_texts:
            return results[numbers]
        return cosines(results, *np.split(np.array(numbers), 2))

    def __enter__(self) -> "TeacherScorer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._engines is not None:
            self._engines.close(kill=kind is not None)


def cosines(vectors: Scores, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Scores:
    """The dot products of vectors[left] and vectors[right], a bounded number of them at once, in float32."""
    scores = np.empty(len(left), dtype=np.float32)
    for first in range(0, len(left), BLOCK):
        block = slice(first, first + BLOCK)
        one, other = (vectors[side[block]].astype(np.float32, copy=False) for side in (left, right))
        scores[block] = np.einsum("ij,ij->i", one, other)
    return scores
