"""Search a corpus for the candidates that train rows lack."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant import paths
from decant.data.files import read_texts
from decant.data.sets import ROWS_AT_ONCE, Row, Split, normalise, read_split, write_split
from decant.errors import DecantError
from decant.fetch.searches import Search, make_searches
from decant.fetch.settings import Mine
from decant.files import atomic_file
from decant.progress import progress
from decant.sources.references import resolve

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class Corpus:
    """The texts that may become candidates, the place of each by its folded form, and counts of those left out."""

    texts: list[str]
    place: dict[str, int]
    duplicates: int
    held_out: int


@dataclass(frozen=True)
class Mined:
    """Rows that are fit to be scored, and counts of candidates added to them and of rows left out."""

    rows: list[Row]
    added: int
    left_out: int


def mine_split(
    track: str,
    source: Path,
    target: Path,
    settings: Mine | None,
    held_out: Sequence[Path],
    make_model: Callable[[], "SentenceTransformer"],
    tell: Callable[[str], None],
) -> None:
    """Write a train split with mined candidates or, without settings, the split as it is.

    Texts of the splits in `held_out` are not mined. `make_model` makes the bi-encoder for the methods that need one.

    Raises:
        DecantError: rows lack candidates and nothing is mined, the corpus cannot be read, or it holds too little.
    """
    if settings is None:
        check_candidates(source, track)
        with atomic_file(target) as partial:
            shutil.copyfile(source, partial)
        tell(f"{track}: {target} is the train split of {source.parent.name}; nothing is mined")
        return
    train = read_split(source)
    if settings.corpus is None:
        texts: Iterable[str] = (text for row in train.rows for text in (row.query, *row.candidates))
    else:
        reference = settings.corpus.startswith(("path:", "package:"))
        texts = read_texts(resolve(settings.corpus if reference else f"path:{paths.OWN / settings.corpus}"))
    corpus = make_corpus(texts, (row for path in held_out for row in read_split(path).rows))
    tell(
        f"{track}: {len(corpus.texts)} texts to mine; {corpus.held_out} that stand in dev or test "
        f"and {corpus.duplicates} duplicates are left out"
    )
    searches = make_searches(settings.method, corpus.texts, make_model)
    mined = mine(train, corpus, searches, settings.candidates, settings.skip)
    write_split(target, Split(mined.rows, train.task))
    tell(
        f"{track}: {mined.added} candidates mined by {settings.method} for {len(mined.rows)} queries; "
        f"{mined.left_out} queries left out, for which the search gave too few"
    )


def check_candidates(path: Path, track: str) -> None:
    """Raise a DecantError unless every row of a split has negatives or candidates, which the track's `mine` adds."""
    lacking, total, first = 0, 0, ""
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
            f"set {track}.mine to {{method: bm25}} to mine them, or give every row its `negative` (or `candidates`)",
        )


def make_corpus(texts: Iterable[str], held_out: Iterable[Row]) -> Corpus:
    """Choose the texts that may be mined: the first of equal ones, and none that a row of dev or test has in any role.

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


def mine(train: Split, corpus: Corpus, searches: Sequence[Search], candidates: int, skip: int) -> Mined:
    """Add candidates to rows: negatives where they have labels, unlabelled candidates elsewhere.

    A row never gets its query, one of the query's positives or a candidate that it has, nor a text that differs from
    one of these in case, punctuation and white space alone. A text's positives are those of all rows, and hold in both
    directions. Several searches take turns. The best `skip` texts of each are left out, counted among those that could
    be added.

    Raises:
        DecantError: no row has enough candidates.
    """
    related: dict[str, set[str]] = defaultdict(set)
    for row in train.rows:
        query = normalise(row.query)
        for text in map(normalise, row.positive):
            related[query].add(text)
            related[text].add(query)
    complete: list[Row] = []
    added = 0
    with progress(len(train.rows), "queries") as bar:
        for block, task in _blocks(train):
            known = [_places(row, related, corpus) for row in block]
            depth = max(map(len, known)) + skip * len(searches) + candidates
            rankings = [search([row.query for row in block], depth, task) for search in searches]
            for row, own, *ranked in zip(block, known, *rankings, strict=True):
                chosen = _choose([[place for place in each if place not in own] for each in ranked], candidates, skip)
                filled = _filled(row, [corpus.texts[place] for place in chosen])
                if filled.negative or len(filled.unlabelled) > 1:
                    complete.append(filled)
                    added += len(chosen)
            bar.update(len(block))
    if not complete:
        raise DecantError(
            f"none of {len(train.rows)} queries has enough candidates, with {len(corpus.texts)} texts to search",
            "name a larger corpus in the track's mine.corpus, or lower mine.skip",
        )
    return Mined(complete, added, len(train.rows) - len(complete))


def _blocks(train: Split) -> Iterator[tuple[list[Row], str]]:
    """The rows, some at a time and all of one task, with it."""
    for part in train.parts():
        for start in range(0, len(part.rows), ROWS_AT_ONCE):
            yield part.rows[start : start + ROWS_AT_ONCE], part.task


def _filled(row: Row, texts: list[str]) -> Row:
    """A row with mined candidates after its own: of grade 0 where it has grades, without an id where it has ids."""
    key = "negative" if row.labelled else "unlabelled"
    grades = row.grades + [0] * len(texts) if row.grades else []
    ids = row.ids + [""] * len(texts) if row.ids else []
    return replace(row, **{key: getattr(row, key) + texts}, grades=grades, ids=ids)


def _places(row: Row, related: dict[str, set[str]], corpus: Corpus) -> set[int]:
    """Where the corpus has what must not be added to a row."""
    own = {*related.get(normalise(row.query), ()), *map(normalise, (row.query, *row.candidates))}
    return {corpus.place[text] for text in own if text in corpus.place}


def _choose(rankings: Sequence[Sequence[int]], count: int, skip: int) -> list[int]:
    """The first places of the rankings in turns, each once, without those in the first `skip` of any ranking."""
    passed = {place for ranking in rankings for place in ranking[:skip]}
    left = [[place for place in ranking if place not in passed] for ranking in rankings]
    by_turns = dict.fromkeys(chain.from_iterable(zip_longest(*left)))
    return [place for place in by_turns if place is not None][:count]
