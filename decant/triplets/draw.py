"""Draw n-tuples from scored candidates, which stream through in batches of whole rows of the set."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from decant.errors import DecantError
from decant.triplets.settings import Triplets
from decant.triplets.strategies import STRATEGIES, Limits, Numbers, Rows, Strategy

SCHEMA = pa.schema(
    {
        "query": pa.string(),
        "positive": pa.string(),
        "negatives": pa.list_(pa.string()),
        "scores": pa.list_(pa.float32()),
    }
)
SET = pa.field("set", pa.string())  # a column of the n-tuples of a union: the set's name
PAIRS = 1 << 15  # drawn from at once, and negatives chosen among at once


class Draw:
    """A draw of n-tuples, with counts that are complete when `batches` has ended.

    Args:
        settings: of the draw.
        seed: of every random choice.
        strategy: instead of that of the settings.

    Attributes:
        tuples: drawn.
        queries: rows of the set that have at least one n-tuple.
        too_few: n-tuples left out because too few negatives remained.
        false_negatives: negatives left out as such, counted once for each positive that they were left out for.
        relabelled: negatives that were made positives.
        labelled: whether every positive is positive by label, those aside.
    """

    def __init__(self, settings: Triplets, seed: int, strategy: Strategy | None = None) -> None:
        self.settings, self._strategy = settings, strategy or STRATEGIES[settings.strategy]
        # Each is used up in the set's order, one number a positive or a negative, wherever a batch ends.
        self._of_positives, self._of_negatives = np.random.default_rng(seed).spawn(2)
        self.tuples = self.queries = self.too_few = self.false_negatives = self.relabelled = 0
        self.labelled = settings.strategy != "teacher_top_k"

    def batches(self, scores: Iterable[pa.RecordBatch], limit: int = PAIRS) -> Iterator[pa.RecordBatch]:
        """Draw the n-tuples of every row of the set.

        Args:
            scores: teacher scores in batches of any size; see `decant.data.scores.SCHEMA`.
            limit: negatives to choose among at once.

        Yields:
            batches of `SCHEMA`; every n-tuple has the same number of negatives, `scores` holds the positive's first.

        Raises:
            DecantError: at the end, not one row had enough negatives.
        """
        negatives, band, limits = self.settings.negatives, self.settings.band, _limits(self.settings)
        had = self.queries
        for pairs in whole_rows(scores):
            rows = _ranked(pairs)
            if limits is not None and self.settings.false_negatives == "relabel":
                before = int(rows.is_positive.sum())
                rows = rows.relabelled(limits)
                self.relabelled += int(rows.is_positive.sum()) - before
            pools = self._strategy.pools(rows, self.settings.positives, self._of_positives)
            if limits is not None:
                before = int(pools.size.sum())
                pools = pools.without_false_negatives(limits)
                self.false_negatives += before - int(pools.size.sum())
            if band is not None:
                pools = pools.band(*band)
            enough = pools.size >= negatives
            pools = pools.where(enough)
            self.labelled = self.labelled and bool(rows.labelled.all())
            self.too_few += int((~enough).sum())
            self.queries += len(np.unique(rows.row[pools.positive]))
            for some in pools.slices(limit):
                batch = _texts(pairs, *self._strategy.pick(some, negatives, self._of_negatives))
                self.tuples += batch.num_rows
                yield batch
        if self.queries == had:
            problem, remedy = f"no query has {negatives} negatives", "lower the track's triplets.negatives"
            if band is not None:
                problem += f" at places {band[0]} to {band[1]} of its ranking"
                remedy += " or lower triplets.band_from"
            if self.false_negatives:
                problem += f" ({self.false_negatives} were left out as false negatives)"
                remedy += (
                    " or raise triplets.false_negative_share"
                    if self.settings.false_negative_margin is None
                    else " or lower triplets.false_negative_margin"
                )
            raise DecantError(problem, remedy)


def whole_rows(scores: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same pairs in batches that hold the pairs of each row of the set together, whatever a row's length."""
    open_row: list[pa.RecordBatch] = []  # pairs of a row that may go on
    for batch in scores:
        if not batch.num_rows:
            continue
        row = batch["row"].to_numpy()
        starts = np.flatnonzero(np.diff(row, prepend=open_row[-1]["row"][-1].as_py() if open_row else row[:1]))
        if len(starts):
            last = int(starts[-1])
            yield pa.concat_batches([*open_row, batch.slice(0, last)])
            open_row, batch = [], batch.slice(last)
        open_row.append(batch)
    if open_row:
        yield pa.concat_batches(open_row)


def _limits(settings: Triplets) -> Limits | None:
    """The scores above which negatives are false, of their positives' scores; None where none are looked for.

    `TopK-MarginPos` and `TopK-PercPos` in NV-Retriever, https://arxiv.org/abs/2407.15831. The paper's share is of a
    cosine above 0; here its distance to the whole is below the positive's score, whatever the sign of a logit.
    """
    margin, share = settings.false_negative_margin, settings.false_negative_share
    if margin is not None:
        return lambda positive: positive.astype(np.float64) - margin
    if share is not None:
        return lambda positive: positive - (1 - share) * np.abs(positive.astype(np.float64))
    return None


def _ranked(pairs: pa.RecordBatch) -> Rows:
    number = pairs["row"].to_numpy()
    row = np.cumsum(np.diff(number, prepend=number[:1]) != 0)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    score = pairs["score"].to_numpy()
    ranking = np.lexsort((-score, row))
    labels = pairs["label"]
    grade = pc.fill_null(labels, 0).to_numpy()
    labelled = np.bincount(row, weights=labels.is_valid().to_numpy(zero_copy_only=False)) > 0
    is_positive = grade > 0
    is_positive[ranking[first[~labelled]]] = True
    return Rows(row, score, ranking, is_positive, grade, labelled)


def _texts(pairs: pa.RecordBatch, positive: Numbers, negatives: Numbers) -> pa.RecordBatch:
    query, best = (pairs[name].take(pa.array(positive)) for name in ("query", "candidate"))
    scores = _lists(pairs["score"], np.column_stack((positive, negatives)))
    return pa.record_batch([query, best, _lists(pairs["candidate"], negatives), scores], schema=SCHEMA)


def _lists(values: pa.Array, chosen: Numbers) -> pa.ListArray:
    """One list of chosen values a tuple, from shape (tuples, n)."""
    offsets = np.arange(len(chosen) + 1, dtype=np.int32) * chosen.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.take(pa.array(chosen.ravel())))
