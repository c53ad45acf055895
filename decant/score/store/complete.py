"""Make the store hold a teacher's score of every pair of a split: what is missing is read, a shard at a time."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from decant.data.digests import WIDTH, Keys, as_binary, digests, first_occurrences, in_context, pair_keys
from decant.data.pairs import stream_pairs
from decant.data.sets import read_task
from decant.data.tasks import task_of
from decant.models.scorer import Scores
from decant.progress import progress
from decant.score.prompts import Item, Prompts
from decant.score.store import StoredTeacher
from decant.score.store.shards import joint
from decant.score.teacher import TeacherScorer, cosines

Positions = npt.NDArray[np.int64]
NO_PAIRS: Keys = np.empty((0, 2 * WIDTH), dtype=np.uint8)


def keys_of_pairs(batch: pa.RecordBatch, contexts: tuple[str, str]) -> Keys:
    """The keys of a batch's pairs, with what stands before queries and before candidates; shape (pairs, 2 · WIDTH)."""
    columns = zip(("query", "candidate"), contexts, strict=True)
    return pair_keys(*(in_context(digests(batch.column(name)), context) for name, context in columns))


def pairs_at(path: Path, name: str, places: Positions) -> Iterator[tuple[Positions, pa.RecordBatch]]:
    """A file's pairs, or those of one of a union's sets, at places in ascending order: batches with their places."""
    start = 0
    for batch in stream_pairs(path, name):
        low, high = np.searchsorted(places, [start, start + len(batch)])
        yield places[low:high], batch.take(pa.array(places[low:high] - start))
        start += len(batch)


class SplitScores:
    """The scores of one split's pairs.

    A bi-encoder reads texts, and the pairs' scores are made of the kept embeddings; others read pairs. What is read is
    an item here, each once. `embeddings` says that the embedding of each text is wanted too; `name`, that the pairs are
    those of one of a union's sets.
    """

    def __init__(
        self, path: Path, prompts: Prompts, stored: StoredTeacher, *, embeddings: bool = False, name: str = ""
    ) -> None:
        self.path, self.prompts, self.stored, self.embeddings, self.name = path, prompts, stored, embeddings, name
        self.task = task_of(read_task(path), name)
        self.faults: dict[bytes, str] = {}  # an item's key → why it has no score
        self._of_texts = prompts.of_texts
        self._items = stored.texts if self._of_texts else stored.pairs
        contexts = prompts.contexts(self.task)
        parts = [NO_PAIRS, *(keys_of_pairs(batch, contexts) for batch in stream_pairs(path, name))]
        self.keys = np.concatenate(parts)
        self._ends = np.cumsum([len(part) for part in parts])  # of the batches
        self.look()

    def look(self) -> None:
        """Look up what the store holds by now."""
        self.positions = self.stored.pairs.find(self.keys)
        self._lacking = self.positions < 0  # of the pairs those without a score, or without an embedding that is wanted
        if self.embeddings:
            for side in self._item_keys(self.keys):
                self._lacking |= self.stored.texts.find(side) < 0
        self._unread: Positions = np.empty(0, dtype=np.int64)
        if self._lacking.any():
            lacking = (self.keys[start:end][self._lacking[start:end]] for start, end in pairwise(self._ends.tolist()))
            keys = np.concatenate([side for part in lacking for side in self._item_keys(part)])
            first = first_occurrences(keys)
            unread = first[self._items.find(keys[first]) < 0]
            self._unread = unread[~self._has_fault(keys[unread])]

    @property
    def missing(self) -> int:
        """The number of pairs without a score."""
        return int((self.positions < 0).sum())

    @property
    def lost(self) -> int:
        """The number of pairs without a score whose fault, or that of one of their texts, is known."""
        faults = map(self._has_fault, self._item_keys(self.keys[self.positions < 0]))
        return int(np.logical_or.reduce(list(faults)).sum())

    @property
    def unread(self) -> int:
        """The number of items that the teacher must read."""
        return len(self._unread)

    @property
    def text_keys(self) -> Keys:
        """The keys of the texts without a score or a wanted embedding, each once; of a bi-encoder's split alone."""
        keys = np.concatenate(np.hsplit(self.keys[self._lacking], 2))
        distinct: Keys = keys[first_occurrences(keys)]
        return distinct

    @property
    def unique_texts(self) -> int:
        """The number of distinct texts among queries and candidates."""
        sides = zip(np.hsplit(self.keys, 2), self.prompts.contexts(self.task), strict=True)
        starts = [in_context(keys, context)[:, :8] for keys, context in sides]
        numbers = np.sort(np.concatenate(starts).view(np.uint64).ravel())
        return int(np.count_nonzero(np.diff(numbers))) + bool(len(numbers))

    def pairs_at(self, places: Positions) -> Iterator[tuple[Positions, pa.RecordBatch]]:
        """The split's pairs at places; see `pairs_at`."""
        return pairs_at(self.path, self.name, places)

    def shards(self, size: int) -> Iterator[tuple[Keys, list[Item]]]:
        """What must be read, `size` items at a time, with their keys."""
        keys: list[Keys] = []
        items: list[Item] = []
        seen = 0
        for places, batch in self.pairs_at(np.flatnonzero(self._lacking)):
            part = np.concatenate(self._item_keys(self.keys[places]))
            low, high = np.searchsorted(self._unread, [seen, seen + len(part)])
            chosen = self._unread[low:high] - seen
            seen += len(part)
            keys.append(part[chosen])
            items += self._items_at(batch, chosen)
            while len(items) >= size:
                joined = np.concatenate(keys)
                yield joined[:size], items[:size]
                keys, items = [joined[size:]], items[size:]
        if items:
            yield np.concatenate(keys), items

    def set_long_aside(self, size: int) -> None:
        """Set those items aside whose query leaves no room for a document."""
        if not self.unread:
            return
        for keys, items in self.shards(size):
            queries = {place: first for place, (first, _) in enumerate(items)}
            if self._of_texts:
                queries = {place: text for place, (role, text) in enumerate(items) if role == "query"}
            distinct = list(dict.fromkeys(queries.values()))
            excess = dict(zip(distinct, self.prompts.excess(distinct, self.task), strict=True))
            self.faults |= {
                keys[place].tobytes(): "the query leaves no room for a document within "
                f"{self.prompts.max_length} tokens: it takes {excess[query]} too many"
                for place, query in queries.items()
                if excess[query]
            }
        self.look()

    def complete(self, teacher: TeacherScorer | None, size: int, precision: str, origin: dict[str, Any]) -> None:
        """Have the missing items read, and keep each shard's results as soon as they are there.

        Args:
            teacher: None where nothing is to be read.
            size: of a shard, in items.
            precision: in which embeddings are kept: float32 or float16.
            origin: of the results, as plain data.

        Raises:
            DecantError: the engine is at fault. What was kept stays.
        """
        reading: dict[int, Keys] = {}

        def numbered() -> Iterator[tuple[int, list[Item]]]:
            for number, (keys, items) in enumerate(self.shards(size)):
                reading[number] = keys
                yield number, items

        with progress(self.unread, "texts" if self._of_texts else "pairs") as bar:
            for number, outcome in teacher.read(numbered(), self.task) if teacher and self.unread else ():
                keys = reading.pop(number)
                good = np.array([index not in outcome.faults for index in range(len(keys))])
                values = outcome.values[good]
                if good.any():
                    self._items.add(keys[good], values.astype(precision) if self._of_texts else values, origin)
                self.faults |= {keys[index].tobytes(): reason for index, reason in outcome.faults.items()}
                bar.update(len(keys))
        if self._of_texts:
            self._make_pairs()
        self.look()

    def _make_pairs(self) -> None:
        """Make the missing pairs' scores of the embeddings, as they are kept."""
        missing = self.keys[self.positions < 0]
        keys = missing[first_occurrences(missing)]
        left, right = map(self.stored.texts.find, self._item_keys(keys))
        able = (left >= 0) & (right >= 0)
        if not able.any():
            return
        needed, places = np.unique(np.concatenate([left[able], right[able]]), return_inverse=True)
        with self.stored.texts.gathered(needed) as vectors:
            scores = cosines(vectors, *np.split(places, 2))
        origins = [json.loads(origin) for origin in self.stored.texts.origins(needed)]
        self.stored.pairs.add(keys[able], scores, joint(origins))

    def scores(self) -> Scores:
        """The score of each pair; NaN where there is none. Shape (pairs,)."""
        scores: Scores = np.full(len(self.positions), np.nan, dtype=np.float32)
        there = self.positions >= 0
        scores[there] = self._stored_scores(self.positions[there])
        return scores

    def distinct(self, scores: Scores) -> Scores:
        """Of the pairs' scores those of distinct pairs that have one, in the store's order."""
        there = self.positions >= 0
        stored = np.empty(len(self.stored.pairs), dtype=np.float32)
        wanted = np.zeros(len(stored), dtype=bool)
        stored[self.positions[there]] = scores[there]
        wanted[self.positions[there]] = True
        distinct: Scores = stored[wanted]
        return distinct

    def sample_of(self, key: str, count: int, seed: int) -> tuple[list[str], list[str], Scores]:
        """Some pairs whose scores' origin has a key, drawn at random: queries, candidates, scores."""
        there = np.flatnonzero(self.positions >= 0)
        having = there[self.stored.pairs.have(self.positions[there], key)]
        chosen = np.sort(np.random.default_rng(seed).permutation(having)[:count])
        queries, candidates = [], []
        for _, batch in self.pairs_at(chosen) if len(chosen) else ():
            queries += batch.column("query").to_pylist()
            candidates += batch.column("candidate").to_pylist()
        return queries, candidates, self._stored_scores(self.positions[chosen])

    def reason(self, pair: int) -> str | None:
        """Why a pair has no score, where a fault is known."""
        keys = self._item_keys(self.keys[pair : pair + 1])
        return next((reason for key in keys if (reason := self.faults.get(key.tobytes()))), None)

    def _stored_scores(self, positions: Positions) -> Scores:
        scores = np.empty(len(positions), dtype=np.float32)
        self.stored.pairs.values(positions, scores)
        return scores

    def _item_keys(self, keys: Keys) -> list[Keys]:
        """The keys of what is read of pairs: of their queries and of their candidates, or of the pairs."""
        return np.hsplit(keys, 2) if self._of_texts else [keys]

    def _has_fault(self, keys: Keys) -> npt.NDArray[np.bool_]:
        if not self.faults or not len(keys):
            return np.zeros(len(keys), dtype=bool)
        faults = pa.array(list(self.faults), pa.binary(keys.shape[1]))
        found: npt.NDArray[np.bool_] = pc.is_in(as_binary(keys), value_set=faults).to_numpy(zero_copy_only=False)
        return found

    def _items_at(self, batch: pa.RecordBatch, places: Positions) -> list[Item]:
        """The items of a batch's pairs at places among them; of texts, the queries come before the candidates."""
        sides = places, places
        if self._of_texts:
            sides = places[places < len(batch)], places[places >= len(batch)] - len(batch)
        queries, candidates = (
            batch.column(name).take(pa.array(side)).to_pylist()
            for name, side in zip(("query", "candidate"), sides, strict=True)
        )
        return self.prompts.items(queries, candidates)
