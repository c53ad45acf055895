"""A teacher: its prompts and one engine or several, which together score pairs."""

from collections.abc import Sequence

import numpy as np

from decant.engines import Scores, TeacherSpec
from decant.engines.pool import InProcess, Pool, start
from decant.progress import progress
from decant.prompts import CrossEncoderPrompts, EmbeddingPrompts, OfPairs, Prompt, Prompts, RerankerPrompts

# Prompts that an engine gets at once. Batches never reach over a shard's end, so that scores depend neither on the
# number of engines nor on what else is scored.
SHARD = 4096


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
        prompts, left, right = self.read(queries, candidates, task)
        results = self._run(prompts)
        if self.kind != "bi_encoder":
            return results[left]
        scores = np.empty(len(left), dtype=np.float32)
        for first in range(0, len(left), 65536):  # so that the gathered vectors stay small
            block = slice(first, first + 65536)
            scores[block] = np.einsum("ij,ij->i", results[left[block]], results[right[block]])
        return scores

    def read(
        self, queries: Sequence[str], candidates: Sequence[str], task: str
    ) -> tuple[list[Prompt], list[int], list[int]]:
        """What must be read to score the pairs, each prompt once.

        Returns:
            the prompts; for each pair the number of its query's prompt and of its candidate's; of models that read
            both together, twice the pair's.
        """
        if isinstance(self.prompts, EmbeddingPrompts):
            asked = {text: number for number, text in enumerate(dict.fromkeys(queries))}
            found = {text: number for number, text in enumerate(dict.fromkeys(candidates), start=len(asked))}
            prompts = [*self.prompts.queries(list(asked), task), *self.prompts.documents(list(found))]
            distinct: list[Prompt] = []
            number: dict[tuple[int, ...], int] = {}
            place = []
            for prompt in prompts:
                key = tuple(prompt.ids)
                if key not in number:
                    number[key] = len(distinct)
                    distinct.append(prompt)
                place.append(number[key])
            return distinct, [place[asked[text]] for text in queries], [place[found[text]] for text in candidates]
        assert isinstance(self.prompts, OfPairs)
        pairs = {pair: number for number, pair in enumerate(dict.fromkeys(zip(queries, candidates, strict=True)))}
        position = [pairs[pair] for pair in zip(queries, candidates, strict=True)]
        prompts = self.prompts.pairs([query for query, _ in pairs], [text for _, text in pairs], task)
        return prompts, position, position

    def _run(self, prompts: Sequence[Prompt]) -> Scores:
        if self._engines is None:
            self._engines = start(self._spec)
        shards = [prompts[begin : begin + SHARD] for begin in range(0, len(prompts), SHARD)]
        with progress(len(prompts), "texts" if self.kind == "bi_encoder" else "pairs") as bar:
            parts = []
            for shard, part in zip(shards, self._engines.map(shards), strict=True):
                parts.append(part)
                bar.update(len(shard))
        return np.concatenate(parts)

    def __enter__(self) -> "Teacher":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._engines is not None:
            self._engines.close(kill=kind is not None)
