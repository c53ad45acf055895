"""Texts that splits share, exactly and nearly: a test text that is in train too tests nothing."""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from datasketch import MinHash, MinHashLSH

from decant.data.sets import SPLITS, Row, normalise, read_split
from decant.data.words import words as words_of
from decant.files import read_json

# Of near-duplicates: the share of the words of two texts together that stand in both (Jaccard). At 0.8 one word of nine
# may be another; a text of fewer than nine words must have the same words, since the titles of two diseases, or the
# summaries of two functions, often differ in one.
THRESHOLD = 0.8
# MinHash (Broder, 1997) in 25 bands of 5 finds 99.99 % of the pairs at the threshold; each is then compared exactly.
BANDS, ROWS = 25, 5

Words = frozenset[str]


class Texts:
    """The distinct texts of a split, to be compared with another's."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.queries = {row.query for row in rows}
        self.candidates = {text for row in rows for text in row.candidates}
        self.asked = self.queries | {text for row in rows for text in row.positive}
        self.all = self.queries | self.candidates
        self.folded = {text: normalise(text) for text in self.all}
        self.words = {text: frozenset(words_of(text)) for text in self.all}

    @cached_property
    def sketches(self) -> dict[Words, MinHash]:
        """The MinHash of every distinct set of words."""
        distinct = sorted(set(self.words.values()), key=sorted)
        hashed = MinHash.generator(([word.encode() for word in each] for each in distinct), num_perm=BANDS * ROWS)
        return dict(zip(distinct, hashed, strict=True))

    @cached_property
    def index(self) -> MinHashLSH:
        """Finds the sets of words that may be near to another."""
        index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
        for distinct, sketch in self.sketches.items():
            index.insert(distinct, sketch, check_duplication=False)
        return index

    def near(self, other: "Texts") -> set[str]:
        """The texts of `other` to which a text of this split is near, or equal."""
        near = other.sketches.keys() & self.sketches.keys()
        near |= {
            words
            for words in other.sketches.keys() - near
            if any(
                len(words & found) / len(words | found) >= THRESHOLD
                for found in self.index.query(other.sketches[words])
            )
        }
        return {text for text, words in other.words.items() if words in near}


def track_overlap(in_domain: Path, out_of_domain: Path | None) -> dict[str, dict[str, Any]]:
    """What the splits in the folders of a track's sets share.

    Returns:
        set → pair of its splits → `overlap`'s counts, from the sets' cards; then, under `<in> → <out>`, those of the
        in-domain train split and the out-of-domain test split.
    """
    folders = [folder for folder in (in_domain, out_of_domain) if folder is not None]
    counts: dict[str, dict[str, Any]] = {folder.name: read_json(folder / "card.json")["overlap"] for folder in folders}
    if out_of_domain is not None:
        paths = in_domain / "train.parquet", out_of_domain / "test.parquet"
        train, test = (Texts(read_split(path).rows) for path in paths)
        counts[f"{in_domain.name} → {out_of_domain.name}"] = {"train-test": overlap(train, test)}
    return counts


def overlaps(splits: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, Any]]:
    """`overlap`'s counts of each pair of a set's splits: `train-dev`, `train-test` and `dev-test`."""
    texts = {split: Texts(splits[split]) for split in SPLITS}
    return {f"{one}-{other}": overlap(texts[one], texts[other]) for one, other in combinations(SPLITS, 2)}


def overlap(train: Texts, other: Texts) -> dict[str, Any]:
    """Count what a split shares with train, or test with dev.

    Returns:
        `exact` and `folded` (case, punctuation and white space folded): the number of distinct queries and
        positives of `other` that are a query or positive of train; `share`: `folded` as a share of them
        all; `any_role`: texts of `other` in any role that are, folded, a query or positive of train.
        Then for the `queries` and for the `candidates` of `other` the number of distinct `texts`, and of those that
        are in train in any role, negatives included: `exact`, `folded` and `near`, each of which counts the one before.
    """
    asked = {train.folded[text] for text in train.asked}
    folded = sum(other.folded[text] in asked for text in other.asked)
    train_folded, near = set(train.folded.values()), train.near(other)

    def counts(texts: Collection[str]) -> dict[str, int]:
        return {
            "texts": len(texts),
            "exact": sum(text in train.all for text in texts),
            "folded": sum(other.folded[text] in train_folded for text in texts),
            "near": sum(text in near for text in texts),
        }

    return {
        "exact": len(train.asked & other.asked),
        "folded": folded,
        "share": round(folded / len(other.asked), 6) if other.asked else 0.0,
        "any_role": sum(other.folded[text] in asked for text in other.all),
        "queries": counts(other.queries),
        "candidates": counts(other.candidates),
    }
