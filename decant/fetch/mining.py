"""Search a corpus for the candidates that train rows lack: by BM25, by the student's embeddings, or by both."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant.data.sets import ROWS_AT_ONCE, Row, normalise
from decant.errors import DecantError
from decant.progress import progress, quiet

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

# Queries and a number k → for each query the places of its k best texts in the corpus, the best first.
Search = Callable[[Sequence[str], int], list[list[int]]]


@dataclass(frozen=True)
class Corpus:
    """The texts that may become candidates.

    Args:
        texts: no two of them the same but for case, punctuation and white space.
        place: of each, by the text as `decant.data.sets.normalise` folds it.
        duplicates: texts left out as such.
        held_out: texts left out since they stand in a split that is not for training.
    """

    texts: list[str]
    place: dict[str, int]
    duplicates: int
    held_out: int


@dataclass(frozen=True)
class Mined:
    """Rows with their candidates, and what it took.

    Args:
        rows: all of them fit to be scored.
        found: candidates that were added.
        left_out: rows for which too little was found.
    """

    rows: list[Row]
    found: int
    left_out: int


def make_corpus(texts: Iterable[str], held_out: Iterable[Row]) -> Corpus:
    """Choose the texts that may be mined: each once, and none that stands in a row of dev or test, in whatever role.

    Args:
        texts: to choose among; of equal ones the first is kept.
        held_out: the rows of dev and test.

    Raises:
        DecantError: no text is left.
    """
    forbidden = {normalise(text) for row in held_out for text in (row.query, *row.candidates)}
    chosen: list[str] = []
    place: dict[str, int] = {}
    duplicates = leaked = 0
    for text in texts:
        folded = normalise(text)
        if folded in place:
            duplicates += 1
        elif folded in forbidden:
            leaked += 1
        else:
            place[folded] = len(chosen)
            chosen.append(text)
    if not chosen:
        raise DecantError(
            f"no text is left to mine: {leaked} stand in dev or test", "name another corpus in the track's mine.corpus"
        )
    return Corpus(chosen, place, duplicates, leaked)


def mine(rows: Sequence[Row], corpus: Corpus, searches: Sequence[Search], candidates: int, skip: int) -> Mined:
    """Add candidates to rows: negatives where they have labels, unlabelled candidates elsewhere.

    Neither the query, nor one of its positives, nor a candidate that the row has, is added, nor a text that differs
    from one of these in case, punctuation and white space alone. A text's positives are those of all rows, and hold in
    both directions. What several searches find is interleaved.

    Args:
        rows: of train.
        corpus: what to find.
        searches: of this corpus.
        candidates: added to a row at most.
        skip: ranks of each search that are passed over, of the texts that could be added.

    Raises:
        DecantError: not one row came out with enough candidates.
    """
    related: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        query = normalise(row.query)
        for text in map(normalise, row.positive):
            related[query].add(text)
            related[text].add(query)
    complete: list[Row] = []
    found = 0
    with progress(len(rows), "queries") as bar:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            block = rows[start : start + ROWS_AT_ONCE]
            known = [_places(row, related, corpus) for row in block]
            depth = max(map(len, known)) + skip * len(searches) + candidates
            rankings = [search([row.query for row in block], depth) for search in searches]
            for row, own, *ranked in zip(block, known, *rankings, strict=True):
                chosen = _choose([[place for place in each if place not in own] for each in ranked], candidates, skip)
                filled = _with_candidates(row, [corpus.texts[place] for place in chosen])
                if filled.negative or len(filled.unlabelled) > 1:
                    complete.append(filled)
                    found += len(chosen)
            bar.update(len(block))
    if not complete:
        raise DecantError(
            f"of {len(rows)} queries not one has enough candidates, with {len(corpus.texts)} texts to search",
            "name a larger corpus in the track's mine.corpus, or lower mine.skip",
        )
    return Mined(complete, found, len(rows) - len(complete))


def _places(row: Row, related: dict[str, set[str]], corpus: Corpus) -> set[int]:
    """Where the corpus has what must not be added to a row."""
    query = normalise(row.query)
    own = {query, *related.get(query, ()), *map(normalise, row.candidates)}
    return {corpus.place[text] for text in own if text in corpus.place}


def _choose(rankings: Sequence[Sequence[int]], count: int, skip: int) -> list[int]:
    """The first places of rankings, by turns and each once; those that one of them has in its first `skip` never."""
    passed = {place for ranking in rankings for place in ranking[:skip]}
    left = [[place for place in ranking if place not in passed] for ranking in rankings]
    by_turns = dict.fromkeys(chain.from_iterable(zip_longest(*left)))
    return [place for place in by_turns if place is not None][:count]


def _with_candidates(row: Row, texts: list[str]) -> Row:
    if row.labelled:
        return replace(row, negative=row.negative + texts)
    return replace(row, unlabelled=row.unlabelled + texts)


def bm25_search(texts: Sequence[str]) -> Search:
    """Rank by BM25, equal scores in the order of the texts; a text that shares no word with a query is not found."""
    from decant.data.bm25 import BM25

    index = BM25(texts)

    def best(query: str, count: int) -> list[int]:
        scores = index.scores(query)
        shared = np.flatnonzero(scores > 0)
        if len(shared) > count:
            limit = np.partition(scores[shared], -count)[-count]
            shared = shared[scores[shared] >= limit]
        order: list[int] = shared[np.argsort(-scores[shared], kind="stable")][:count].tolist()
        return order

    return lambda queries, count: [best(query, count) for query in queries]


def dense_search(texts: Sequence[str], model: "SentenceTransformer", task: str) -> Search:
    """Rank by the cosine of a bi-encoder's embeddings, with its own prompts.

    Args:
        texts: of the corpus.
        model: usually the student before training.
        task: fills `{task}` in the query prompt.
    """
    from sentence_transformers import util  # slow to import

    from decant.models.scorer import resolve_prompts

    query_prompt, document_prompt = resolve_prompts(model, None, None)

    def embed(some: Sequence[str], prompt: str) -> "Tensor":
        embedded: Tensor = model.encode(
            list(some),
            prompt=prompt,
            normalize_embeddings=True,
            convert_to_tensor=True,
            show_progress_bar=not quiet() and some is texts,
        )
        return embedded

    embeddings = embed(texts, document_prompt)

    def search(queries: Sequence[str], count: int) -> list[list[int]]:
        embedded = embed(queries, query_prompt.replace("{task}", task))
        found = util.semantic_search(embedded, embeddings, top_k=count, score_function=util.dot_score)
        return [[hit["corpus_id"] for hit in hits] for hits in found]

    return search


def check_candidates(path: Path, key: str) -> None:
    """Make sure that every row of a split has what a teacher is to score.

    Args:
        path: of the split.
        key: of params, which would have candidates mined.

    Raises:
        DecantError: a row has no negative, or no candidate.
    """
    lacking = total = 0
    first = ""
    with pq.ParquetFile(path) as file:
        name = "negative" if "negative" in file.schema_arrow.names else "candidates"
        for rows in file.iter_batches(ROWS_AT_ONCE, columns=["query", name]):
            empty = rows.filter(pc.equal(pc.list_value_length(rows[name]), 0))
            first = first or (empty["query"][0].as_py() if len(empty) else "")
            lacking, total = lacking + len(empty), total + len(rows)
    if lacking:
        what = "negatives" if name == "negative" else "candidates"
        raise DecantError(
            f"{path}: {lacking} of {total} rows have no {what}; the first is the query {first[:60]!r}",
            f"set {key} to bm25, to have them mined, or give every row its `negative` (or `candidates`)",
        )
