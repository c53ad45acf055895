"""Texts that splits share, exactly and nearly: a test text that is in train too tests nothing."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.sets import LISTS, ROWS_AT_ONCE, SPLITS, normalise
from decant.fetch.similarity import Near, Words, words_of
from decant.files import read_json


class Texts:
    """The distinct texts of a split in memory, and what of them another split turns out to have.

    Attributes:
        queries, candidates: distinct texts; `asked`: queries and positives; `all`: queries and candidates.
        folded, words: of each text, folded as `normalise` does, and the distinct words of that.
    """

    def __init__(self, path: Path) -> None:
        self.queries: set[str] = set()
        self.candidates: set[str] = set()
        self.asked: set[str] = set()
        for role, texts in _texts(path):
            (self.queries if role == "query" else self.candidates).update(texts)
            if role in ("query", "positive"):
                self.asked.update(texts)
        self.all = self.queries | self.candidates
        self.folded = {text: normalise(text) for text in self.all}
        self.words = {text: words_of(folded) for text, folded in self.folded.items()}
        self._folds = set(self.folded.values())
        self._near = Near(self.words.values())
        self._found_exact: set[str] = set()
        self._found_asked: set[str] = set()
        self._folded_found: set[str] = set()
        self._folded_asked: set[str] = set()
        self._words_found: set[Words] = set()

    def look_for(self, text: str, folded: str, words: Words, *, asked: bool) -> None:
        """Note which texts here are equal or near to a text of the other split, there a query or positive or not."""
        if text in self.all:
            self._found_exact.add(text)
            if asked and text in self.asked:
                self._found_asked.add(text)
        if folded in self._folds:
            self._folded_found.add(folded)
            if asked:
                self._folded_asked.add(folded)
        self._words_found |= self._near.find(words)

    def counts(self) -> dict[str, Any]:
        """What `overlap` returns."""
        folded = sum(self.folded[text] in self._folded_asked for text in self.asked)
        return {
            "exact": len(self._found_asked),
            "folded": folded,
            "share": round(folded / len(self.asked), 6) if self.asked else 0.0,
            "any_role": sum(self.folded[text] in self._folded_asked for text in self.all),
            "queries": self._of(self.queries),
            "candidates": self._of(self.candidates),
        }

    def _of(self, texts: Collection[str]) -> dict[str, int]:
        return {
            "texts": len(texts),
            "exact": sum(text in self._found_exact for text in texts),
            "folded": sum(self.folded[text] in self._folded_found for text in texts),
            "near": sum(self.words[text] in self._words_found for text in texts),
        }


def track_overlap(in_domain: Path, out_of_domain: Path | None) -> dict[str, dict[str, Any]]:
    """What the splits in the folders of a track's sets share.

    Returns:
        set → pair of its splits → `overlap`'s counts, from the sets' cards; of a union also those of each of its sets'
        train split with the others' dev and test splits, under `<one> → <other>`; then, under `<in> → <out>`, those of
        the in-domain train split and the out-of-domain test split.
    """
    folders = [folder for folder in (in_domain, out_of_domain) if folder is not None]
    counts: dict[str, dict[str, Any]] = {}
    for folder in folders:
        card = read_json(folder / "card.json")
        counts |= {folder.name: card["overlap"], **card.get("overlap_between", {})}
    if out_of_domain is not None:
        train, test = in_domain / "train.parquet", out_of_domain / "test.parquet"
        counts[f"{in_domain.name} → {out_of_domain.name}"] = {"train-test": overlap(train, test)["test"]}
    return counts


def track_left_out(*folders: Path | None) -> dict[str, dict[str, Any]]:
    """What `fetch` left out of a track's sets, as their cards count it.

    Returns:
        set → split → `faults` by kind, `rows_left_out`, `texts_left_out` and `not_judged` by reason; without what is
        whole.
    """
    counts: dict[str, dict[str, Any]] = {}
    for folder in filter(None, folders):
        whole = read_json(folder / "card.json")
        for name, card in (whole.get("sets") or {folder.name: whole}).items():
            for split, described in card["splits"].items():
                found = {key: described.get(key) for key in ("faults", "rows_left_out", "texts_left_out", "not_judged")}
                if any(found.values()):
                    counts.setdefault(name, {})[split] = found
    return counts


def overlaps(splits: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """`overlap`'s counts of each pair of a set's splits: `train-dev`, `train-test` and `dev-test`."""
    counts: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(SPLITS[:-1]):
        others = SPLITS[number + 1 :]
        found = overlap(splits[one], *(splits[other] for other in others))
        counts |= {f"{one}-{other}": found[splits[other].stem] for other in others}
    return counts


def overlap(train: Path, *others: Path) -> dict[str, dict[str, Any]]:
    """Count what splits share with train, or test with dev. Train streams by; the others are held in memory.

    Returns:
        by the others' file names without suffix: `exact` and `folded` (case, punctuation and white space folded): the
        number of distinct queries and positives of the other that are a query or positive of train; `share`: `folded`
        as a share of them all; `any_role`: texts of the other in any role that are, folded, a query or positive of
        train. Then for the `queries` and for the `candidates` of the other the number of distinct `texts`, and of those
        that are in train in any role, negatives included: `exact`, `folded` and `near`, each of which counts the one
        before.
    """
    texts = {other.stem: Texts(other) for other in others}
    for role, found in _texts(train):
        for text in found:
            folded = normalise(text)
            words = words_of(folded)
            for other in texts.values():
                other.look_for(text, folded, words, asked=role in ("query", "positive"))
    return {name: other.counts() for name, other in texts.items()}


def _texts(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The texts of a split by their roles, some thousand rows at a time, each once of those."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            yield "query", batch.column("query").unique().to_pylist()
            for name in LISTS:
                if name in batch.schema.names:
                    texts: pa.Array = batch.column(name).flatten()
                    yield name, texts.unique().to_pylist()
