"""A BEIR-style folder with a candidate list."""

from collections.abc import Iterator
from pathlib import Path

from decant.data.files import Record, lines, read_file, with_title
from decant.errors import DecantError


def read(root: Path, split: str, *, repository: bool = False) -> Iterator[Record]:
    """See `decant.fetch.build.Read`.

    The folder holds `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`),
    `qrels/<split>.tsv` (query-id, corpus-id, score) and `candidates/<split>.tsv` (query-id, corpus-id): the
    candidates to be ranked. A candidate with a qrel above 0 is a positive, every other one a negative;
    a positive that the candidate list leaves out is added to it.
    """
    del repository
    corpus = dict(_texts_by_id(root / "corpus.jsonl"))
    queries = dict(_texts_by_id(root / "queries.jsonl"))
    positives: dict[str, dict[str, None]] = {}
    for place, (query, document, *score) in _read_tsv(
        root / "qrels" / f"{split}.tsv", ("query-id", "corpus-id", "score")
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
    for place, (query, document) in _read_tsv(root / "candidates" / f"{split}.tsv", ("query-id", "corpus-id")):
        _known(place, query, queries, "queries.jsonl")
        _known(place, document, corpus, "corpus.jsonl")
        candidates.setdefault(query, {})[document] = None
    if unlisted := sorted(positives.keys() - candidates.keys()):
        raise DecantError(
            f"{root}: query-id {unlisted[0]} of {split} has qrels and no candidates ({len(unlisted)} such queries)",
            f"add its candidates to candidates/{split}.tsv, or remove its qrels",
        )
    for query, listed in candidates.items():
        positive = positives.get(query, {})
        yield (
            f"{root}, query-id {query} of {split}",
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
