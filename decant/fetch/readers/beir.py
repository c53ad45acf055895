"""Readers of set formats."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from decant.data.files import Record, lines, read_file, with_title
from decant.errors import DecantError


def read_beir(folder: Path, split: str) -> Iterator[Record]:
    """Yield (place, record) from a BEIR-style folder with a candidate list.

    The folder holds `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`),
    `qrels/<split>.tsv` (query-id, corpus-id, score) and `candidates/<split>.tsv` (query-id, corpus-id): the
    candidates to be ranked. A candidate with a qrel above 0 is a positive, every other one a negative;
    a positive that the candidate list leaves out is added to it.

    Raises:
        DecantError: a file is missing or broken, or an id is unknown.
    """
    corpus = dict(_texts_by_id(folder / "corpus.jsonl"))
    queries = dict(_texts_by_id(folder / "queries.jsonl"))
    positives: dict[str, dict[str, None]] = {}
    for place, (query, document, *score) in _read_tsv(
        folder / "qrels" / f"{split}.tsv", ("query-id", "corpus-id", "score")
    ):
        _known(place, query, queries, "queries.jsonl")
        _known(place, document, corpus, "corpus.jsonl")
        try:
            relevant = float(score[0]) > 0
        except ValueError as error:
            raise DecantError(f"{place}: the score {score[0]!r} is not a number", "write 0, 1 or a grade") from error
        if relevant:
            positives.setdefault(query, {})[document] = None
    candidates: dict[str, dict[str, None]] = {}
    for place, (query, document) in _read_tsv(folder / "candidates" / f"{split}.tsv", ("query-id", "corpus-id")):
        _known(place, query, queries, "queries.jsonl")
        _known(place, document, corpus, "corpus.jsonl")
        candidates.setdefault(query, {})[document] = None
    if unlisted := sorted(positives.keys() - candidates.keys()):
        raise DecantError(
            f"{folder}: query-id {unlisted[0]} of {split} has qrels and no candidates ({len(unlisted)} such queries)",
            f"add its candidates to candidates/{split}.tsv, or remove its qrels",
        )
    for query, listed in candidates.items():
        positive = positives.get(query, {})
        yield (
            f"{folder}, query-id {query} of {split}",
            {
                "query": queries[query],
                "positive": [corpus[document] for document in positive],
                "negative": [corpus[document] for document in listed if document not in positive],
            },
        )


def _texts_by_id(path: Path) -> Iterator[tuple[str, str]]:
    for place, record in read_file(path):
        identifier, text = record.get("_id"), record.get("text")
        if not isinstance(identifier, str) or not isinstance(text, str):
            raise DecantError(f"{place}: `_id` and `text` must be strings", "write both as strings")
        yield identifier, with_title(record.get("title"), text)


def _read_tsv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    if not path.is_file():
        raise DecantError(
            f"{path}: there is no such file", f"write a tab-separated file with the header {', '.join(columns)}"
        )
    for number, line in lines(path):
        cells = line.rstrip("\r\n").split("\t")
        if number == 1:
            if tuple(cells) != columns:
                raise DecantError(
                    f"{path}, line 1: the header is {cells}", f"write the header {', '.join(columns)}, tab-separated"
                )
        elif line.strip():
            if len(cells) != len(columns):
                raise DecantError(
                    f"{path}, line {number}: {len(cells)} cells", f"write {len(columns)}: {', '.join(columns)}"
                )
            yield f"{path}, line {number}", cells


def _known(place: str, identifier: str, known: dict[str, str], file: str) -> None:
    if identifier not in known:
        raise DecantError(f"{place}: the id {identifier!r} is not in {file}", f"add it to {file}, or remove the line")


def read_repository(folder: Path, split: str) -> Iterable[Record]:
    """Yield (place, record) from a downloaded hub data set, whatever files its split is kept in.

    Raises:
        DecantError: the folder has no such split.
    """
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(str(folder), split=split)
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as error:
        raise DecantError(
            f"{folder}: the split {split!r} cannot be read ({error})", "correct `splits` in params.yaml"
        ) from error
    return ((f"split {split}, row {number}", record) for number, record in enumerate(loaded, start=1))
