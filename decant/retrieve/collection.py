"""What is searched for, in what: the queries of a test split, and a corpus with all of their candidates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from decant import paths
from decant.data.corpus import read_corpus
from decant.data.sets import Row, Split, normalise, read_split
from decant.errors import DecantError
from decant.retrieve.settings import Retrieve


@dataclass(frozen=True)
class Collection:
    """Queries with their judgements, and a corpus of which each text stands once.

    Attributes:
        split: labelled rows, whose candidates are in the corpus.
        ids: of the documents, as the corpus has them or else the split; "" for one whose source gives none.
        texts: of the documents, in the same order.
        gains: of each row, place in the corpus → gain above 0. A document that is not judged has none.
        relevant: of each row, the places of its positives.
        own: of each row, the places of what is the query itself but for case, punctuation and white space. Unless it
            is judged to be one, it is no answer, and is passed over, as in ArguAna, whose queries are documents.
    """

    split: Split
    ids: list[str]
    texts: list[str]
    gains: list[dict[int, int]]
    relevant: list[set[int]]
    own: list[set[int]]


def collection_of(dataset: str, settings: Retrieve, seed: int) -> Collection:
    """What `settings` of `retrieve` have searched of a data set; see `read_collection`."""
    corpus = paths.corpus(dataset) if settings.corpus == "whole" else None
    return read_collection(paths.split(dataset, "test"), corpus, settings.queries, seed)


def read_collection(test: Path, corpus: Path | None, queries: int | None = None, seed: int = 0) -> Collection:
    """The test split in a file, and what is searched.

    Args:
        test: the split's file.
        corpus: the file of the set's corpus, which need not be there; None searches the split's candidates alone.
        queries: how many of the split's rows are taken, in their order; None takes all. The corpus stays that of all.
        seed: of their draw.

    Raises:
        DecantError: the split is not there, or has no labels.
    """
    split = read_split(test)
    if unlabelled := next((row.query for row in split.rows if row.unlabelled), None):
        raise DecantError(f"{test}: the query {unlabelled[:60]!r} has no labels", "retrieve with a labelled split")
    ids, texts, place = list[str](), list[str](), dict[str, int]()

    def add(identifier: str, text: str) -> None:
        if place.setdefault(text, len(texts)) == len(texts):
            ids.append(identifier)
            texts.append(text)

    for batch in read_corpus(corpus).to_batches() if corpus is not None else ():
        for identifier, text in zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True):
            add(identifier, text)
    for row in split.rows:
        for identifier, text in zip(row.ids or [""] * len(row.candidates), row.candidates, strict=True):
            add(identifier, text)
    if queries is not None and queries < len(split.rows):
        drawn = sorted(Random(seed).sample(range(len(split.rows)), queries))
        split = replace(split, rows=[split.rows[number] for number in drawn])
    return Collection(split, ids, texts, *_judged(split.rows, place), _own(split.rows, texts))


def _judged(rows: Sequence[Row], place: dict[str, int]) -> tuple[list[dict[int, int]], list[set[int]]]:
    gains = [
        {place[text]: gain for text, gain in zip(row.candidates, row.gains, strict=True) if gain > 0} for row in rows
    ]
    return gains, [{place[text] for text in row.positive} for row in rows]


def _own(rows: Sequence[Row], texts: Sequence[str]) -> list[set[int]]:
    """The places of the texts that are the query itself."""
    asked = {normalise(row.query) for row in rows}
    found: dict[str, set[int]] = {}
    for number, text in enumerate(texts):
        if (folded := normalise(text)) in asked:
            found.setdefault(folded, set()).add(number)
    return [found.get(normalise(row.query), set()) for row in rows]
