"""Make the store hold a teacher's score of every pair of a split: what is missing is read, a shard at a time."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from decant.data.digests import WIDTH, Keys, as_binary, digests, first_occurrences, in_context, pair_keys
from decant.data.sets import read_task, stream_pairs
from decant.models.scorer import Scores
from decant.progress import progress
from decant.score.prompts import Item, Prompts
from decant.score.store import StoredTeacher
from decant.score.store.shards import joint
from decant.score.teacher import TeacherScorer, cosines

Positions = npt.NDArray[np.int64]


class SplitScores:
    """The scores of one split's pairs.

    A bi-encoder reads texts, and the pairs' scores are made of the kept embeddings; others read pairs. What is read is
    an item here, each once.

    Args:
        path: of the split.
        prompts: the teacher's.
        stored: what the store holds of it.
        embeddings: whether the embedding of each text is wanted too; of a bi-encoder alone.
    """

    def __init__(self, path: Path, prompts: Prompts, stored: StoredTeacher, *, embeddings: bool = False) -> None:
        self.path, self.prompts, self.stored, self.embeddings = path, prompts, stored, embeddings
        self.task = read_task(path)
        self.faults: dict[bytes, str] = {}  # an item's key → why it has no score
        self._of_texts = prompts.of_texts
        self._items = stored.texts if self._of_texts else stored.pairs
        left, right = prompts.contexts(self.task)
        parts = [np.empty((0, 2 * WIDTH), dtype=np.uint8)]
        for batch in stream_pairs(path):
            queries, candidates = digests(batch.column("query")), digests(batch.column("candidate"))
            parts.append(pair_keys(in_context(queries, left), in_context(candidates, right)))
        self.keys = np.concatenate(parts)
        self._ends = np.cumsum([len(part) for part in parts])  # of the batches
        self.look()

    def look(self) -> None:
        """Look up what the store holds by now."""
        self.positions = self.stored.pairs.find(self.keys)
        self._lacking = self.positions < 0  # of the pairs those without a score, or without an embedding that is wanted
        if self.embeddings:
            for side in self._sides:
                self._lacking |= self.stored.texts.find(side) < 0
        self._unread: Positions = np.empty(0, dtype=np.int64)
        if self._lacking.any():
            keys = np.concatenate(list(self._occurring_keys()))
            first = first_occurrences(keys)
            unread = first[self._items.find(keys[first]) < 0]
            self._unread = unread[~self._has_fault(keys[unread])]

    @property
    def _sides(self) -> tuple[Keys, Keys]:
        """The keys of the pairs' queries and of their candidates."""
        return self.keys[:, :WIDTH], self.keys[:, WIDTH:]

    @property
    def missing(self) -> int:
        """The number of pairs without a score."""
        return int((self.positions < 0).sum())

    @property
    def lost(self) -> int:
        """The number of pairs without a score whose fault, or that of one of their texts, is known."""
        keys = self.keys[self.positions < 0]
        sides = (keys[:, :WIDTH], keys[:, WIDTH:]) if self._of_texts else (keys,)
        return int(np.logical_or.reduce([self._has_fault(side) for side in sides]).sum())

    @property
    def unread(self) -> int:
        """The number of items that the teacher must read."""
        return len(self._unread)

    def shards(self, size: int) -> Iterator[tuple[Keys, list[Item]]]:
        """What must be read, `size` items at a time, with their keys."""
        keys: list[Keys] = []
        items: list[Item] = []
        start = 0
        for part, items_at in self._occurrences():
            low, high = np.searchsorted(self._unread, [start, start + len(part)])
            chosen = self._unread[low:high] - start
            start += len(part)
            keys.append(part[chosen])
            items += items_at(chosen)
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
            queries = [_query_of(item, self._of_texts) for item in items]
            distinct = list(dict.fromkeys(query for query in queries if query is not None))
            excess = dict(zip(distinct, self.prompts.excess(distinct, self.task), strict=True))
            for key, query in zip(keys, queries, strict=True):
                if query is not None and excess[query]:
                    self.faults[key.tobytes()] = (
                        f"the query leaves no room for a document within {self.prompts.max_length} tokens: "
                        f"it takes {excess[query]} too many"
                    )
        self.look()

    def complete(self, teacher: TeacherScorer | None, size: int, precision: str, origin: dict[str, Any]) -> None:
        """Have the missing items read, and keep each shard's results as soon as they are there.

        Args:
            teacher: with its engines; None where nothing is to be read.
            size: of a shard, in items.
            precision: in which embeddings are kept: float32 or float16.
            origin: what is known of where the results come from.

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
                    kept = values.astype(precision) if self._of_texts else values
                    self._items.add(keys[good], kept, origin)
                self.faults |= {keys[index].tobytes(): reason for index, reason in outcome.faults.items()}
                bar.update(len(keys))
        if self._of_texts:
            self._make_pairs()
        self.look()

    def _make_pairs(self) -> None:
        """Make the missing pairs' scores of the embeddings, as they are kept."""
        missing = self.keys[self.positions < 0]
        keys = missing[first_occurrences(missing)]
        left, right = (self.stored.texts.find(keys[:, side : side + WIDTH]) for side in (0, WIDTH))
        able = (left >= 0) & (right >= 0)
        if not able.any():
            return
        needed, places = np.unique(np.concatenate([left[able], right[able]]), return_inverse=True)
        with self.stored.texts.gathered(needed) as vectors:
            scores = cosines(vectors, places[: able.sum()], places[able.sum() :])
        origins = [json.loads(origin) for origin in self.stored.texts.origins(needed)]
        self.stored.pairs.add(keys[able], scores, joint(origins))

    def texts(self) -> Iterator[tuple[str, Keys, Positions, Positions]]:
        """Of each role the distinct texts that have an embedding.

        Yields:
            "query" or "document", the texts' keys, the pairs in which they come first, their positions in the store.
        """
        for role, side in zip(("query", "document"), self._sides, strict=True):
            pairs = first_occurrences(side)
            positions = self.stored.texts.find(side[pairs])
            there = positions >= 0
            yield role, side[pairs[there]], pairs[there], positions[there]

    def scores(self) -> Scores:
        """The score of each pair; NaN where there is none. Shape (pairs,)."""
        scores: Scores = np.full(len(self.positions), np.nan, dtype=np.float32)
        there = self.positions >= 0
        stored = np.empty(int(there.sum()), dtype=np.float32)
        self.stored.pairs.values(self.positions[there], stored)
        scores[there] = stored
        return scores

    def distinct(self, scores: Scores) -> Scores:
        """Of the pairs' scores those of distinct pairs that have one, in the store's order."""
        there = self.positions >= 0
        stored = np.full(len(self.stored.pairs), np.nan, dtype=np.float32)
        stored[self.positions[there]] = scores[there]
        wanted = np.zeros(len(stored), dtype=bool)
        wanted[self.positions[there]] = True
        distinct: Scores = stored[wanted]
        return distinct

    def sample_of(self, key: str, count: int, seed: int) -> tuple[list[str], list[str], Scores]:
        """Some pairs whose scores' origin has a key, drawn at random: queries, candidates, scores."""
        there = np.flatnonzero(self.positions >= 0)
        chosen = there[self.stored.pairs.have(self.positions[there], key)] if len(there) else there
        chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:count])
        scores = np.empty(len(chosen), dtype=np.float32)
        self.stored.pairs.values(self.positions[chosen], scores)
        start, queries, candidates = 0, [], []
        for batch in stream_pairs(self.path) if len(chosen) else ():
            part = batch.take(pa.array(chosen[(chosen >= start) & (chosen < start + len(batch))] - start))
            queries += part.column("query").to_pylist()
            candidates += part.column("candidate").to_pylist()
            start += len(batch)
        return queries, candidates, scores

    def origins(self) -> dict[str, int]:
        """Where the scores come from: origin as JSON → pairs."""
        return self.stored.pairs.origins(self.positions[self.positions >= 0])

    @property
    def unique_texts(self) -> int:
        """The number of distinct texts among queries and candidates."""
        contexts = self.prompts.contexts(self.task)
        sides = [
            in_context(self.keys[:, at : at + WIDTH], context)[:, :8]
            for at, context in zip((0, WIDTH), contexts, strict=True)
        ]
        numbers = np.sort(np.concatenate(sides).view(np.uint64).ravel())
        return int(np.count_nonzero(np.diff(numbers))) + bool(len(numbers))

    def reason(self, pair: int) -> str | None:
        """Why a pair has no score, where a fault is known."""
        key = self.keys[pair]
        parts = (key[:WIDTH], key[WIDTH:]) if self._of_texts else (key,)
        return next((found for part in parts if (found := self.faults.get(part.tobytes()))), None)

    def _has_fault(self, keys: Keys) -> npt.NDArray[np.bool_]:
        if not self.faults or not len(keys):
            return np.zeros(len(keys), dtype=bool)
        faults = pa.array(list(self.faults), pa.binary(keys.shape[1]))
        found: npt.NDArray[np.bool_] = pc.is_in(as_binary(keys), value_set=faults).to_numpy(zero_copy_only=False)
        return found

    def _occurring_keys(self) -> Iterator[Keys]:
        """The keys of the items of the pairs that lack something, with repetitions, batch by batch."""
        for start, end in zip(self._ends[:-1], self._ends[1:], strict=True):
            keys = self.keys[start:end][self._lacking[start:end]]
            yield np.concatenate([keys[:, :WIDTH], keys[:, WIDTH:]]) if self._of_texts else keys

    def _occurrences(self) -> Iterator[tuple[Keys, Callable[[Positions], list[Item]]]]:
        """The same with the items themselves."""
        start = 0
        for batch, keys in zip(stream_pairs(self.path), self._occurring_keys(), strict=True):
            part = batch.filter(pa.array(self._lacking[start : start + len(batch)]))
            start += len(batch)
            yield keys, (_texts_of if self._of_texts else _pairs_of)(part)


def _query_of(item: Item, of_texts: bool) -> str | None:
    if of_texts:
        return item[1] if item[0] == "query" else None
    return item[0]


def _pairs_of(batch: pa.RecordBatch) -> Callable[[Positions], list[Item]]:
    def items(places: Positions) -> list[Item]:
        part = batch.take(pa.array(places))
        return list(zip(part.column("query").to_pylist(), part.column("candidate").to_pylist(), strict=True))

    return items


def _texts_of(batch: pa.RecordBatch) -> Callable[[Positions], list[Item]]:
    def items(places: Positions) -> list[Item]:
        count = len(batch)
        queries = batch.column("query").take(pa.array(places[places < count])).to_pylist()
        documents = batch.column("candidate").take(pa.array(places[places >= count] - count)).to_pylist()
        return [*(("query", text) for text in queries), *(("document", text) for text in documents)]

    return items
