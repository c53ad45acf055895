"""The scores of a TREC run, whose ids stand for the texts of a track's splits."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from decant.data.digests import trec_id
from decant.data.sets import Row, stream_rows
from decant.errors import DecantError
from decant.fetch.readers.trec import RunLine, run_lines

RUN = "trec-run"
Texts = tuple[str, str]  # of a query and a candidate
SHOWN = 60  # characters of a text in messages


class ScoredRun:
    """The pairs of a run that a split has, in the file's order, each (place, query, passage, score).

    Args:
        path: of the run.
        splits: the files of splits. Their columns `query_id` and `ids` name the texts; a text without an id has that
            of `decant.data.digests.text_id`, as in what `decant export-run` writes.

    Attributes:
        layout: `trec-run`.
        without_score: 0, for a run has a score in every line.
        without_text: the places of lines whose ids name no pair of a split; whole after the last pair.
        like_labels: False.

    Raises:
        DecantError: while reading, a line is none of a run, its ids name several pairs, or no line names a pair.
    """

    layout = RUN
    without_score = 0
    like_labels = False

    def __init__(self, path: Path, splits: Iterable[Path]) -> None:
        self.path, self.splits = path, list(splits)
        self.without_text: list[str] = []

    def __iter__(self) -> Iterator[tuple[str, str, str, float]]:
        named = self._pairs_by_ids()
        resolved = 0
        for line in run_lines(self.path):
            texts = named[trec_id(line.query)].get(trec_id(line.document), set())
            if len(texts) > 1:
                _refuse_ambiguous(line, sorted(texts))
            if not texts:
                self.without_text.append(f"{line.place}: {line.query} {line.document}")
            for query, passage in texts:
                resolved += 1
                yield line.place, query, passage, line.score
        if not resolved:
            self._refuse_unresolved()

    def _pairs_by_ids(self) -> dict[str, dict[str, set[Texts]]]:
        """query-id → document-id → the pairs that these name, of the run's queries."""
        named: dict[str, dict[str, set[Texts]]] = {trec_id(line.query): {} for line in run_lines(self.path)}
        for path in self.splits:
            for row in stream_rows(path):
                documents = named.get(trec_id(row.query_id, row.query))
                if documents is not None:
                    for identifier, text in _identified(row):
                        documents.setdefault(identifier, set()).add((row.query, text))
        return named

    def _refuse_unresolved(self) -> None:
        lines = len(self.without_text)
        if not lines:
            raise DecantError(f"{self.path}: there is no line in it", "name a run that has some")
        raise DecantError(
            f"{self.path}: none of its {lines} lines names a pair of the track's splits; the first is "
            f"{self.without_text[0]}",
            "the ids must be those of the set's source (its columns `query_id` and `ids`); of a set without ids, "
            "bring rows of query, passage and score",
        )


def _identified(row: Row) -> Iterator[tuple[str, str]]:
    """The candidates of a row, each with its id before it."""
    for identifier, text in zip(row.ids or [""] * len(row.candidates), row.candidates, strict=True):
        yield trec_id(identifier, text), text


def _refuse_ambiguous(line: RunLine, texts: list[Texts]) -> None:
    shown = " and ".join(f"({query[:SHOWN]!r}, {passage[:SHOWN]!r})" for query, passage in texts[:2])
    raise DecantError(
        f"{line.place}: the ids {line.query} and {line.document} name {len(texts)} pairs of the splits: {shown}",
        "bring these scores as rows of query, passage and score, or give each text of the sets an id of its own",
    )
