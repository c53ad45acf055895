"""What the layouts with qrels have in common: queries, a corpus, qrels, and candidates to be ranked."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from decant.data.files import checked, read_file, with_title
from decant.data.sets import normalise
from decant.errors import DecantError
from decant.fetch.items import NotJudged
from decant.fetch.layouts.given import Given
from decant.fetch.readers import trec
from decant.fetch.searches import Search, bm25_search, dense_search
from decant.fetch.settings import DataSet

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Qrels = Mapping[str, Mapping[str, Any]]  # query-id → corpus-id → grade
Texts = Mapping[str, str]  # by id
IDS = ("_id", "id", "docid", "doc_id", "corpus-id", "corpus_id", "query-id", "query_id", "qid", "pid")
TEXTS = ("text", "query", "question", "contents", "document", "passage")


def records(
    where: str, queries: Texts, corpus: Texts, qrels: Qrels, ranked: Mapping[str, Sequence[str]] | None
) -> Iterator[tuple[str, Given | NotJudged]]:
    """A record a query that has qrels, its candidates with their grades.

    Args:
        where: names the split, for messages.
        queries, corpus: texts by their ids.
        qrels: a grade above 0 is relevant, one below 0 is not.
        ranked: query-id → corpus-ids of its candidates; a relevant document that they leave out is added at the end.
            None takes the judged documents. A candidate that is not judged has grade 0; the query itself is none.
    """
    for query, judged in qrels.items():
        place = f"{where}, query-id {query}"
        if query not in queries:
            yield place, NotJudged("qrels of a query without a text")
            continue
        if ranked is not None and query not in ranked:
            yield place, NotJudged("queries without candidates")
            continue
        relevant = [document for document, grade in judged.items() if not isinstance(grade, int) or grade > 0]
        asked = normalise(queries[query])  # which a search finds first where it is a document too, as in ArguAna
        found = [] if ranked is None else [d for d in ranked[query] if normalise(corpus.get(d, "")) != asked]
        listed = judged if ranked is None else dict.fromkeys([*found, *relevant])
        there = [document for document in listed if document in corpus]
        for _ in range(len(listed) - len(there)):
            yield place, NotJudged("documents without a text")
        if not there:
            yield place, NotJudged("queries without documents")
        elif not any(document in corpus for document in relevant):
            yield place, NotJudged("queries without a relevant document")
        else:
            grades = [judged.get(document, 0) for document in there]
            texts = [corpus[document] for document in there]
            yield place, Given(queries[query], texts, grades=grades, query_id=query, ids=there)


def read_candidates(root: Path, split: str, settings: DataSet) -> dict[str, list[str]]:
    """The `top_k` documents of each query in the set's run."""
    assert settings.run is not None  # the settings refuse it
    run = trec.read_run(root / settings.run.replace("{split}", split))
    return {query: [document for document, _ in rows[: settings.top_k]] for query, rows in run.items()}


def search(settings: DataSet, queries: Texts, corpus: Texts) -> dict[str, list[str]]:
    """The `top_k` documents that BM25 or a bi-encoder finds in the whole corpus, by query-id."""
    ids, texts = list(corpus), list(corpus.values())
    if settings.candidates == "bm25":
        search = bm25_search(texts)
    else:
        assert settings.encoder is not None  # the settings refuse it
        search = _dense(settings.encoder, settings.encoder_revision, tuple(texts))
    found = search(list(queries.values()), settings.top_k, settings.task)
    return {query: [ids[place] for place in places] for query, places in zip(queries, found, strict=True)}


@lru_cache(maxsize=1)  # all splits of a set search with one encoder, and most sets have one corpus
def _dense(encoder: str, revision: str | None, texts: tuple[str, ...]) -> Search:
    return dense_search(texts, _encoder(encoder, revision))


@lru_cache(maxsize=1)
def _encoder(reference: str, revision: str | None) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    from decant.models.load import load_sentence_transformers
    from decant.sources.references import model_folder

    folder = model_folder(reference, revision, None)
    return load_sentence_transformers(SentenceTransformer, folder, None, "float32", trust_remote_code=False)


def texts_of(path: Path, wanted: Collection[str] | None = None, encoding: str | None = None) -> dict[str, str]:
    """The texts of a corpus or of queries by their ids, a title before its text, without the empty ones.

    Args:
        path: of the file, or the folder of its shards.
        wanted: the ids whose texts are kept; None keeps all.
        encoding: of a text file that is no UTF-8.

    Raises:
        DecantError: a row has no id, or an id stands twice with different texts.
    """
    texts: dict[str, str] = {}
    for place, record in checked(read_file(path, encoding)):
        identifier = next((str(record[key]) for key in IDS if record.get(key) is not None), None)
        if identifier is None:
            found = ", ".join(record)
            raise DecantError(f"{place}: the row has no id (found: {found})", f"name its column {' or '.join(IDS[:3])}")
        if wanted is not None and identifier not in wanted:
            continue
        text = next((record[key] for key in TEXTS if isinstance(record.get(key), str)), None)
        title = record.get("title")
        text = with_title(title, text) if text is not None else title if isinstance(title, str) else None
        if text is None or not text.strip():
            continue
        if texts.setdefault(identifier, text) != text:
            raise DecantError(f"{place}: the id {identifier!r} stands for another text before", "keep one of the two")
    return texts


def found_file(root: Path, *names: str) -> Path | None:
    """The file, or folder of shards, with one of some names and any suffix; None where there is none."""
    for name in names:
        for path in sorted([*root.glob(name), *root.glob(f"{name}.*")]):
            if not path.name.endswith((".md", ".txt")):
                return path
    return None
