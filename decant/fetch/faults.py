"""The faults of a split: counted by kind, the first of each with its row, refused or left out."""

from collections import Counter
from typing import Any

from decant.errors import DecantError
from decant.fetch.settings import OnFaults

SHOWN = 5  # of a kind

# What a kind of fault is called in messages, by its name on the card.
KINDS = {
    "unreadable": "rows that cannot be read",
    "no_query": "rows without a query",
    "not_a_string": "texts that are no strings",
    "invisible": "texts without a visible character",
    "broken_text": "texts with half of a surrogate pair",
    "no_label": "labels that are no whole number, or above 127",
    "both_lists": "texts that are positive and negative for the same query",
    "labels_and_candidates": "rows with both labels and unlabelled candidates",
    "no_positive": "rows without a positive",
    "no_negative": "rows without a negative",
    "too_few_candidates": "rows with fewer than two candidates",
    "unlabelled": "rows without labels, which dev and test need",
    "mixed": "rows that are labelled or unlabelled, unlike the first",
    "duplicate_query": "queries of an earlier row",
}


class Faults:
    """Counts of what is wrong with a split and of what was mended, for messages and for the set's card.

    Attributes:
        counts: faults by kind.
        rows: read from the source.
        texts: candidates read.
        rows_left_out, texts_left_out: because of a fault.
        duplicate_queries: rows whose query an earlier row has.
        repeated_candidates: that come again in their list, and are taken once.
        conflicting_labels: negatives that a merged row has as positives.
        near_duplicates: negatives that are near to a positive of their row.
        not_judged: queries that were left out because the source says nothing of their candidates, by reason.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.not_judged: Counter[str] = Counter()
        self.rows = self.texts = self.rows_left_out = self.texts_left_out = 0
        self.duplicate_queries = self.repeated_candidates = self.conflicting_labels = self.near_duplicates = 0
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, place: str, detail: str = "") -> None:
        """Count a fault, and keep the first few of its kind."""
        self.counts[kind] += 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < SHOWN:
            examples.append(f"{place}: {detail}" if detail else place)

    @property
    def total(self) -> int:
        """The number of all faults."""
        return self.counts.total()

    @property
    def _all_relevant(self) -> bool:
        """Whether most rows have positives alone, as sets whose qrels name relevant documents alone."""
        return self.counts["no_negative"] * 2 > self.rows

    @property
    def share_left_out(self) -> float:
        """Of the rows or of the texts, whichever is larger."""
        rows, texts = self.rows_left_out / max(1, self.rows), self.texts_left_out / max(1, self.texts)
        return max(rows, texts)

    def described(self) -> str:
        """Every kind with its count and its first faults, a line each."""
        lines = [f"{self.total} {'faults' if self.total > 1 else 'fault'} in {self.rows} rows"]
        for kind, title in KINDS.items():
            if count := self.counts[kind]:
                lines.append(f"  {title}: {count}")
                lines += [f"    {example}" for example in self._examples[kind]]
                lines += [f"    … and {count - SHOWN} more"] if count > SHOWN else []
        return "\n".join(lines)

    def check(self, where: str, on_faults: OnFaults, max_dropped: float) -> None:
        """Refuse a split whose faults are not to be dropped, or which loses too much by it.

        Raises:
            DecantError: with every kind of fault, its count and its first rows.
        """
        if not self.total:
            return
        if on_faults == "refuse":
            others = ", or set its `duplicates` to `merge` or `keep`" if self.counts["duplicate_query"] else ""
            others += (
                "; a set with qrels ranks more than is judged with `candidates: bm25`" if self._all_relevant else ""
            )
            raise DecantError(
                f"{where}: {self.described()}",
                f"correct them, or set the data set's `faults` to `drop`, which leaves out and counts them{others}",
            )
        if self.share_left_out > max_dropped:
            raise DecantError(
                f"{where}: {self.rows_left_out} of {self.rows} rows and {self.texts_left_out} of {self.texts} "
                f"candidates would be left out, and `max_dropped` allows {max_dropped:.1%}\n{self.described()}",
                "correct them, or raise the data set's `max_dropped`",
            )

    def card(self) -> dict[str, Any]:
        """The counts for the set's card."""
        counts = {name: self.counts[name] for name in KINDS if self.counts[name]}
        return {
            "duplicate_queries": self.duplicate_queries,
            "repeated_candidates": self.repeated_candidates,
            "conflicting_labels": self.conflicting_labels,
            "near_duplicates": self.near_duplicates,
            "faults": counts,
            "rows_left_out": self.rows_left_out,
            "texts_left_out": self.texts_left_out,
            "not_judged": dict(self.not_judged),
        }
