"""A BEIR folder as published: a corpus, queries, and qrels; lists of candidates or a TREC run may lie beside them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from decant.data.files import Unreadable
from decant.errors import DecantError
from decant.fetch.items import NotJudged
from decant.fetch.layouts.given import Given
from decant.fetch.readers import ranked, trec
from decant.fetch.settings import DataSet

LAYOUT = "write corpus.jsonl (_id, title, text), queries.jsonl (_id, text) and qrels/<split>.tsv"
QRELS = (".tsv", ".txt", ".qrels", ".trec", ".tsv.gz", "")


def read(
    root: Path, split: str, settings: DataSet, *, repository: bool = False
) -> Iterator[tuple[str, Given | NotJudged | Unreadable]]:
    """See `decant.fetch.build.Read`.

    The folder holds `corpus.*` (id, title, text), `queries.*` (id, text) and `qrels/<split>.tsv` (query-id, corpus-id,
    score) or a TREC file of qrels, which `split` may name itself. Ids may be strings or numbers, titles may be missing.
    The candidates of a query are those of `settings.candidates`: the judged documents, the pairs listed in
    `candidates/<split>.tsv`, the best of a TREC run, or the best of a search of the corpus.
    """
    del repository
    own = _qrels_file(root, split)
    qrels, faults = trec.read_qrels(own)
    yield from faults
    queries = ranked.texts_of(_texts_file(root, settings.queries, "queries"), encoding=settings.encoding)
    elsewhere = _judged_elsewhere(root, own)
    for query in queries:
        if query not in qrels and query not in elsewhere:
            yield f"{root}, query-id {query}", NotJudged("queries without qrels")
    candidates = _candidates(root, split, settings)
    searched = settings.candidates in ("bm25", "dense")
    wanted = None if searched else {d for docs in (*qrels.values(), *(candidates or {}).values()) for d in docs}
    corpus = ranked.texts_of(_texts_file(root, settings.corpus, "corpus"), wanted, settings.encoding)
    if searched:
        candidates = ranked.search(settings, {query: queries[query] for query in qrels if query in queries}, corpus)
    yield from ranked.records(f"{root}, {split}", queries, corpus, qrels, candidates)


def corpus(root: Path, settings: DataSet) -> Iterable[tuple[str, str]]:
    """See `decant.fetch.corpora.ReadCorpus`."""
    return ranked.texts_of(_texts_file(root, settings.corpus, "corpus"), encoding=settings.encoding).items()


def is_laid_out(root: Path) -> bool:
    """Whether a folder is one of BEIR's."""
    return root.is_dir() and None not in (ranked.found_file(root, "corpus"), ranked.found_file(root, "queries"))


def splits(root: Path) -> list[str]:
    """The splits that a folder has qrels of."""
    return sorted({path.name.partition(".")[0] for path in (root / "qrels").glob("*.*")})


def _candidates(root: Path, split: str, settings: DataSet) -> Mapping[str, Sequence[str]] | None:
    """query-id → corpus-ids, of a run or of a list; None for the judged documents, or what is to be searched."""
    listed = root / "candidates" / f"{split}.tsv"
    if settings.candidates == "run":
        return ranked.read_candidates(root, split, settings)
    if settings.candidates == "listed" or (settings.candidates is None and listed.is_file()):
        return trec.read_pairs(listed)
    return None


def _qrels_file(root: Path, split: str) -> Path:
    for path in (root / split, *((root / "qrels" / f"{split}{suffix}") for suffix in QRELS)):
        if path.is_file():
            return path
    found = ", ".join(splits(root)) or "none"
    raise DecantError(f"{root}: there are no qrels of {split!r} (found: {found})", LAYOUT)


def _texts_file(root: Path, named: str | None, name: str) -> Path:
    path = root / named if named is not None else ranked.found_file(root, name)
    if path is None:
        raise DecantError(f"{root}: there is no {name}.jsonl", LAYOUT)
    return path


def _judged_elsewhere(root: Path, own: Path) -> set[str]:
    """The queries that the folder's qrels name, without those of the `own` file, which has been read."""
    files = [path for path in (root / "qrels").glob("*") if path.is_file() and path != own]
    return {query for path in files for query in trec.read_qrels(path)[0]}
