"""What the layouts with qrels and lists of candidates have in common."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from decant.data.files import Record
from decant.errors import DecantError


class Texts(NamedTuple):
    """Texts by their ids, and the file or config that holds them, for messages."""

    where: str
    by_id: Mapping[str, str]

    def find(self, place: str, identifier: str) -> str:
        """The text of an id that stands at `place`; a DecantError where it has none."""
        if identifier not in self.by_id:
            raise DecantError(
                f"{place}: the id {identifier!r} is not in {self.where}", f"add it to {self.where}, or remove the row"
            )
        return self.by_id[identifier]


def is_positive(place: str, score: object) -> bool:
    """Whether a qrel's score makes a positive; a DecantError if it is no number."""
    try:
        return float(score) > 0  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DecantError(f"{place}: the score {score!r} is not a number", "write 0, 1 or a grade") from error


def records(
    root: Path,
    split: str,
    positives: Mapping[str, Collection[str]],
    ranked: Mapping[str, Collection[str]],
    queries: Texts,
    corpus: Texts,
) -> Iterator[Record]:
    """A record a query: its positives, and as negatives those of its ranked candidates that are none of these.

    Args:
        root: of the set; it and `split` are for messages.
        positives: query-id → corpus-ids, which `ranked` may leave out.
        ranked: query-id → the corpus-ids of its candidates.
    """
    if unlisted := sorted(positives.keys() - ranked.keys()):
        raise DecantError(
            f"{root}: query-id {unlisted[0]} of {split} has qrels and no candidates ({len(unlisted)} such queries)",
            "add its candidates, or remove its qrels",
        )
    for query, listed in ranked.items():
        place = f"{root}, query-id {query} of {split}"
        positive = positives.get(query, ())
        negative = [document for document in listed if document not in positive]
        texts = {
            key: [corpus.find(place, document) for document in documents]
            for key, documents in (("positive", positive), ("negative", negative))
        }
        yield place, {"query": queries.find(place, query), **texts}
