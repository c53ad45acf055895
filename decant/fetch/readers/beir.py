"""A BEIR-style folder with a candidate list."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from decant.data.files import Record, checked, lines, read_file, with_title
from decant.errors import DecantError
from decant.fetch.readers.ranked import Texts, is_positive, records


def read(root: Path, split: str, *, repository: bool = False) -> Iterator[Record]:
    """See `decant.fetch.build.Read`.

    The folder holds `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`), `qrels/<split>.tsv`
    (query-id, corpus-id, score) and `candidates/<split>.tsv` (query-id, corpus-id): the candidates to be ranked. A
    candidate with a qrel above 0 is a positive, all others are negatives; a positive that is not listed is added.
    """
    del repository
    queries, corpus = (Texts(file, dict(_texts_by_id(root / file))) for file in ("queries.jsonl", "corpus.jsonl"))

    def pairs(folder: str, *columns: str) -> Iterator[tuple[str, list[str]]]:
        path = root / folder / f"{split}.tsv"
        for place, cells in _read_tsv(path, ("query-id", "corpus-id", *columns)):
            queries.find(place, cells[0])
            corpus.find(place, cells[1])
            yield place, cells

    positives: dict[str, dict[str, None]] = defaultdict(dict)
    for place, (query, document, score) in pairs("qrels", "score"):
        if is_positive(place, score):
            positives[query][document] = None
    ranked: dict[str, dict[str, None]] = defaultdict(dict)
    for _, (query, document) in pairs("candidates"):
        ranked[query][document] = None
    return records(root, split, positives, ranked, queries, corpus)


def _texts_by_id(path: Path) -> Iterator[tuple[str, str]]:
    for place, record in checked(read_file(path)):
        identifier, text = record.get("_id"), record.get("text")
        if not isinstance(identifier, str) or not isinstance(text, str):
            raise DecantError(f"{place}: `_id` and `text` must be strings", "write both as strings")
        yield identifier, with_title(record.get("title"), text)


def _read_tsv(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    header = ", ".join(columns)
    if not path.is_file():
        raise DecantError(f"{path}: there is no such file", f"write a tab-separated file with the header {header}")
    for number, line in lines(path):
        cells = line.rstrip("\r\n").split("\t")
        if number == 1:
            if tuple(cells) != columns:
                raise DecantError(f"{path}, line 1: the header is {cells}", f"write {header}, separated by tabs")
        elif line.strip():
            if len(cells) != len(columns):
                raise DecantError(f"{path}, line {number}: {len(cells)} cells", f"write {len(columns)}: {header}")
            yield f"{path}, line {number}", cells
