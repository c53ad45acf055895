"""The layout that MTEB gives its reranking sets since version 2."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import datasets

from decant.data.files import Unreadable
from decant.errors import DecantError
from decant.fetch.items import NotJudged
from decant.fetch.layouts.given import Given
from decant.fetch.readers import ranked, trec
from decant.fetch.readers.rows import HubRows
from decant.fetch.settings import DataSet


def read(
    root: Path, split: str, settings: DataSet, *, repository: bool = False
) -> Iterator[tuple[str, Given | NotJudged | Unreadable]]:
    """See `decant.fetch.build.Read`. The folder's README.md names the configs of MTEB's retrieval layout.

    `corpus` has the columns `_id` (or `id`), `title` and `text`; `queries` has `_id` (or `id`) and `text`; `default`
    (or `qrels`) has `query-id`, `corpus-id` and `score`; `top_ranked`, which may be absent, has `query-id` and
    `corpus-ids`: the candidates to be ranked, which `settings.candidates` may replace by others. A relevant document
    that the candidates leave out is added. Title and text are joined by a space, as MTEB joins them
    (https://github.com/embeddings-benchmark/mteb, `RetrievalDatasetLoader`).

    The split is that of the qrels and the candidates. Texts may be in a split of another name if it is the only one.
    """
    del repository
    datasets.disable_progress_bars()
    configs = _configs(root)
    qrels_config = "default" if "default" in configs else "qrels"
    if missing := [name for name in ("corpus", "queries", qrels_config) if name not in configs]:
        raise DecantError(
            f"{root}: README.md names no config {' and '.join(missing)} (found: {', '.join(configs) or 'none'})",
            "name a set in MTEB's layout of corpus, queries, default (or qrels) and top_ranked; "
            "for rows of query, positive and negative set `format` to `rows`",
        )
    qrels: dict[str, dict[str, Any]] = defaultdict(dict)
    for number, row in enumerate(_rows(root, qrels_config, split, ("query-id", "corpus-id", "score")), start=1):
        score = trec.whole(row["score"])
        if score is None:
            fault = f"the score {row['score']!r} is no whole number"
            yield f"{root}, config {qrels_config}, row {number}", Unreadable(fault, "write 0, 1 or a grade")
        else:
            qrels[str(row["query-id"])][str(row["corpus-id"])] = score
    queries, corpus = _texts(root, "queries", split), _texts(root, "corpus", split)
    candidates = None
    if settings.candidates in ("bm25", "dense"):
        candidates = ranked.search(settings, {query: queries[query] for query in qrels if query in queries}, corpus)
    elif settings.candidates == "run":
        candidates = ranked.read_candidates(root, split, settings)
    elif settings.candidates == "listed" or (settings.candidates is None and "top_ranked" in configs):
        candidates = {
            str(row["query-id"]): [str(document) for document in row["corpus-ids"]]
            for row in _rows(root, "top_ranked", split, ("query-id", "corpus-ids"))
        }
    yield from ranked.records(f"{root}, {split}", queries, corpus, qrels, candidates)


def corpus(root: Path, settings: DataSet) -> Iterable[tuple[str, str]]:
    """See `decant.fetch.corpora.ReadCorpus`: that of the test split or, where that is carved from it, of train."""
    datasets.disable_progress_bars()
    split = settings.test if isinstance(settings.test, str) else settings.train
    return _texts(root, "corpus", str(split)).items()


def is_laid_out(root: Path) -> bool:
    """Whether a downloaded repository names the configs of this layout."""
    try:
        configs = _configs(root)
    except DecantError:
        return False
    return {"corpus", "queries"} <= set(configs)


def _configs(folder: Path) -> list[str]:
    try:
        return list(datasets.get_dataset_config_names(str(folder)))
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as error:
        raise DecantError(f"{folder}: it cannot be read as a data set ({error})", "correct `source`") from error


def _texts(folder: Path, config: str, split: str) -> dict[str, str]:
    """A config's texts by id. Sets with one corpus for all splits give its only split another name."""
    texts = {}
    for row in _rows(folder, config, split, ("text",), only=True):
        identifier = row.get("_id", row.get("id"))
        if identifier is None or not isinstance(row["text"], str):
            raise DecantError(f"{folder}: a row of {config} has no id or no text: {row}", "mend or remove the row")
        title = row.get("title")
        texts[str(identifier)] = f"{title} {row['text']}".strip() if title else row["text"].strip()
    return texts


def _rows(folder: Path, config: str, split: str, columns: tuple[str, ...], *, only: bool = False) -> HubRows:
    """The rows of a config's split, or of its only one, each a dictionary with these columns at least."""
    splits = [str(name) for name in datasets.get_dataset_split_names(str(folder), config)]
    if only and len(splits) == 1:
        split = splits[0]
    if split not in splits:
        raise DecantError(
            f"{folder}: the config {config} has no split {split!r} (found: {', '.join(splits)})",
            "correct the split's name in the set's `train`, `dev` or `test`",
        )
    loaded = HubRows(folder, split, config)
    if missing := [column for column in columns if column not in loaded.column_names]:
        found = ", ".join(loaded.column_names)
        raise DecantError(
            f"{folder}: the config {config} has no column {' and '.join(missing)} (found: {found})",
            "name a reranking set in MTEB's layout",
        )
    return loaded
