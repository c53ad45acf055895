"""A teacher: its prompts and one engine or several, which together score pairs."""

from collections.abc import Iterator, Sequence

import numpy as np

from decant.engines import Scores, TeacherSpec
from decant.engines.pool import InProcess, Pool, start
from decant.progress import progress
from decant.prompts import CrossEncoderPrompts, EmbeddingPrompts, Item, Prompts, RerankerPrompts

# Prompts that an engine gets at once. Batches never reach over a shard's end, so that scores depend neither on the
# number of engines nor on what else is scored.
SHARD = 4096


def shards(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Items in groups of `SHARD`, whose prompts an engine gets together."""
    return (items[first : first + SHARD] for first in range(0, len(items), SHARD))


def make_prompts(spec: TeacherSpec) -> Prompts:
    """What builds the prompts of a teacher, by its kind."""
    if spec.kind == "bi_encoder":
        return EmbeddingPrompts(
            spec.folder, spec.max_length, spec.query_prompt, spec.document_prompt, spec.trust_remote_code
        )
    build = CrossEncoderPrompts if spec.kind == "cross_encoder" else RerankerPrompts
    return build(spec.folder, spec.max_length, spec.trust_remote_code)


class Teacher:
    """Scores pairs; each distinct text of a bi-encoder and each distinct pair of the others is read once a call.

    Token ids are made shard by shard, as the engines take them.

    A context manager: leaving it ends the engines' processes, where they have any.

    Args:
        spec: of the teacher. Its engines are started when the first pairs are scored.
    """

    def __init__(self, spec: TeacherSpec) -> None:
        self.kind = spec.kind
        self.prompts = make_prompts(spec)
        self._spec = spec
        self._engines: InProcess | Pool | None = None

    def score(self, queries: Sequence[str], candidates: Sequence[str], task: str = "") -> Scores:
        """See `decant.engines.Scorer.score`.

        Raises:
            DecantError: a query leaves no room for a document.
        """
        reading = self.prompts.distinct(queries, candidates, task)
        results = self._run(reading.items, task)
        if self.kind != "bi_encoder":
            return results[reading.left]
        scores = np.empty(len(queries), dtype=np.float32)
        for first in range(0, len(queries), 65536):  # so that the gathered vectors stay small
            block = slice(first, first + 65536)
            scores[block] = np.einsum("ij,ij->i", results[reading.left[block]], results[reading.right[block]])
        return scores

    def _run(self, items: Sequence[Item], task: str) -> Scores:
        if self._engines is None:
            self._engines = start(self._spec)
        prompts = (self.prompts.build(shard, task) for shard in shards(items))
        parts = []
        with progress(len(items), "texts" if self.kind == "bi_encoder" else "pairs") as bar:
            for part in self._engines.map(prompts):
                parts.append(part)
                bar.update(len(part))
        return np.concatenate(parts)

    def __enter__(self) -> "Teacher":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._engines is not None:
            self._engines.close(kill=kind is not None)
