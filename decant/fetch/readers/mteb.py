"""The layout that MTEB gives its reranking sets since version 2."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets

from decant.data.files import Record
from decant.errors import DecantError


def read(root: Path, split: str, *, repository: bool = False) -> Iterator[Record]:
    """See `decant.fetch.build.Read`. The folder's README.md names the configs of MTEB's retrieval layout.

    `corpus` has the columns `_id` (or `id`), `title` and `text`; `queries` has `_id` (or `id`) and `text`; `default`
    (or `qrels`) has `query-id`, `corpus-id` and `score`; `top_ranked` has `query-id` and `corpus-ids`: the candidates
    to be ranked. A score above 0 makes a positive, every other candidate is a negative; a positive that the
    candidates leave out is added. Title and text are joined by a space, as MTEB joins them
    (https://github.com/embeddings-benchmark/mteb, `RetrievalDatasetLoader`).

    The split is that of the qrels and the candidates. Texts may be in a split of another name if it is the only one.
    """
    del repository
    datasets.disable_progress_bars()
    configs = _configs(root)
    qrels = "default" if "default" in configs else "qrels"
    if missing := [name for name in ("corpus", "queries", qrels, "top_ranked") if name not in configs]:
        raise DecantError(
            f"{root}: README.md names no config {' and '.join(missing)} (found: {', '.join(configs) or 'none'})",
            "name a reranking set in MTEB's layout of corpus, queries, default (or qrels) and top_ranked; "
            "for rows of query, positive and negative set `format` to `rows`",
        )
    positives: dict[str, dict[str, None]] = {}
    for row in _rows(root, qrels, split, ("query-id", "corpus-id", "score")):
        if not isinstance(row["score"], int | float):
            raise DecantError(f"{root}: the score {row['score']!r} in {qrels} is not a number", "write 0, 1 or a grade")
        if row["score"] > 0:
            positives.setdefault(str(row["query-id"]), {})[str(row["corpus-id"])] = None
    ranked = {
        str(row["query-id"]): [str(document) for document in row["corpus-ids"]]
        for row in _rows(root, "top_ranked", split, ("query-id", "corpus-ids"))
    }
    if unlisted := sorted(positives.keys() - ranked.keys()):
        raise DecantError(
            f"{root}: query-id {unlisted[0]} of {split} has qrels and no candidates ({len(unlisted)} such queries)",
            "add its candidates to the config top_ranked, or remove its qrels",
        )
    corpus = _texts(root, "corpus", split)
    queries = _texts(root, "queries", split)
    for query, listed in ranked.items():
        place = f"{root}, query-id {query} of {split}"
        positive = positives.get(query, {})
        yield (
            place,
            {
                "query": _known(place, query, queries, "queries"),
                "positive": [_known(place, document, corpus, "corpus") for document in positive],
                "negative": [
                    _known(place, document, corpus, "corpus") for document in listed if document not in positive
                ],
            },
        )


def _configs(folder: Path) -> list[str]:
    try:
        return list(datasets.get_dataset_config_names(str(folder)))
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as error:
        raise DecantError(f"{folder}: it cannot be read as a data set ({error})", "correct `source`") from error


def _texts(folder: Path, config: str, split: str) -> dict[str, str]:
    """A config's texts by id. Sets with one corpus for all splits give its only split another name."""
    splits = _splits(folder, config)
    texts = {}
    for row in _rows(folder, config, splits[0] if len(splits) == 1 else split, ("text",)):
        identifier = row.get("_id", row.get("id"))
        if identifier is None or not isinstance(row["text"], str):
            raise DecantError(f"{folder}: a row of {config} has no id or no text: {row}", "mend or remove the row")
        title = row.get("title")
        texts[str(identifier)] = f"{title} {row['text']}".strip() if title else row["text"].strip()
    return texts


def _splits(folder: Path, config: str) -> list[str]:
    return [str(split) for split in datasets.get_dataset_split_names(str(folder), config)]


def _rows(folder: Path, config: str, split: str, columns: tuple[str, ...]) -> Any:
    """The rows of a config's split, each a dictionary with these columns at least."""
    splits = _splits(folder, config)
    if split not in splits:
        raise DecantError(
            f"{folder}: the config {config} has no split {split!r} (found: {', '.join(splits)})",
            "correct the split's name in the set's `train`, `dev` or `test`",
        )
    try:
        loaded = datasets.load_dataset(str(folder), config, split=split)
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as error:
        raise DecantError(
            f"{folder}: the split {split!r} of {config} cannot be read ({error})", "download the data set again"
        ) from error
    if missing := [column for column in columns if column not in loaded.column_names]:
        raise DecantError(
            f"{folder}: the config {config} has no column {' and '.join(missing)} "
            f"(found: {', '.join(loaded.column_names)})",
            "name a reranking set in MTEB's layout",
        )
    return loaded


def _known(place: str, identifier: str, known: dict[str, str], config: str) -> str:
    if identifier not in known:
        raise DecantError(f"{place}: the id {identifier!r} is not in the config {config}", "correct the data set")
    return known[identifier]
