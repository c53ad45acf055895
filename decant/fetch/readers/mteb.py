"""The layout that MTEB gives its reranking sets since version 2."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets

from decant.data.files import Record
from decant.errors import DecantError
from decant.fetch.readers.ranked import Texts, is_positive, records
from decant.fetch.readers.rows import load


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
    positives: dict[str, dict[str, None]] = defaultdict(dict)
    for row in _rows(root, qrels, split, ("query-id", "corpus-id", "score")):
        if is_positive(f"{root}, config {qrels}", row["score"]):
            positives[str(row["query-id"])][str(row["corpus-id"])] = None
    ranked = {
        str(row["query-id"]): [str(document) for document in row["corpus-ids"]]
        for row in _rows(root, "top_ranked", split, ("query-id", "corpus-ids"))
    }
    queries, corpus = (Texts(f"the config {name}", _texts(root, name, split)) for name in ("queries", "corpus"))
    return records(root, split, positives, ranked, queries, corpus)


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


def _rows(folder: Path, config: str, split: str, columns: tuple[str, ...], *, only: bool = False) -> Any:
    """The rows of a config's split, or of its only one, each a dictionary with these columns at least."""
    splits = [str(name) for name in datasets.get_dataset_split_names(str(folder), config)]
    if only and len(splits) == 1:
        split = splits[0]
    if split not in splits:
        raise DecantError(
            f"{folder}: the config {config} has no split {split!r} (found: {', '.join(splits)})",
            "correct the split's name in the set's `train`, `dev` or `test`",
        )
    loaded = load(folder, split, config)
    if missing := [column for column in columns if column not in loaded.column_names]:
        found = ", ".join(loaded.column_names)
        raise DecantError(
            f"{folder}: the config {config} has no column {' and '.join(missing)} (found: {found})",
            "name a reranking set in MTEB's layout",
        )
    return loaded
