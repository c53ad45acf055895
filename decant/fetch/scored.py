"""The scores of a teacher that came with data: the pairs of a file in any layout that has them, or of a TREC run."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from decant.data.compression import compression
from decant.data.files import Unreadable, read_file
from decant.errors import DecantError
from decant.fetch.items import NotJudged
from decant.fetch.layouts import LAYOUTS, scored_pairs
from decant.fetch.layouts.columns import folded
from decant.fetch.layouts.detect import renamed
from decant.fetch.layouts.given import Given
from decant.fetch.layouts.read import PEEK, Rows
from decant.fetch.layouts.values import are_labels, count
from decant.fetch.readers import FORMATS
from decant.fetch.reading import SplitReader, format_of
from decant.fetch.scored_run import RUN, ScoredRun
from decant.fetch.settings import DataSet

RUN_SUFFIXES = (".txt", ".trec", ".run")
# Where scores stand in the layouts that have them.
SCORED = {
    "flagembedding": "`pos_scores` and `neg_scores` beside `pos` and `neg`",
    "tevatron": "`score` in each passage",
    "nemo": "`score` in each document",
    "scored_pairs": "rows of `query`, `passage` and `score`",
}
REMEDY = f"bring {', '.join(f'{words} ({name})' for name, words in SCORED.items())}, or a TREC run ({RUN}); "
REMEDY += "`--columns score=logit` reads a column `logit` as score"
MOST_LABELS = 10  # distinct whole numbers; where there are more, they are no labels


class ScoredFile:
    """The pairs of a file that have a score, in the file's order, each (place, query, passage, score).

    Texts come as the file has them, whatever their type.

    Args:
        path: of the file, or of a folder of shards.
        layout: a name in `FORMATS`; "auto" finds it out.
        columns: Decant's name of a column → the file's own.
        encoding: of a text file.
        corpus: the file of the texts that rows name by their ids.

    Attributes:
        layout: its name.
        without_score: the number of pairs that have none; like what follows, whole after the last pair.
        without_text: the places of what names the id of no text.

    Raises:
        DecantError: the layout has no scores; while reading, a row cannot be read, or no pair has a score.
    """

    def __init__(
        self,
        path: Path,
        *,
        layout: str = "auto",
        columns: Mapping[str, str] = {},
        encoding: str | None = None,
        corpus: Path | None = None,
    ) -> None:
        self.path = path
        self.layout = _layout(path, layout, columns, encoding)
        self.without_score = 0
        self.without_text: list[str] = []
        self._values: set[float] = set()  # of the scores, as many as tell them from labels
        root, split = (path, path.name) if path.is_file() else (path.absolute().parent, path.absolute().name)
        settings = DataSet(
            source=f"path:{path}",
            format=self.layout,
            columns=dict(columns),
            encoding=encoding,
            corpus=None if corpus is None else str(corpus.absolute()),  # a set's corpus is found beside its source
            train=split,
            test=1,
            task="",
        )
        self._reader = SplitReader(settings, root, split, repository=False, join=False)

    @property
    def like_labels(self) -> bool:
        """Whether all scores are low whole numbers, few of them distinct, as labels are."""
        return len(self._values) <= MOST_LABELS and are_labels(list(self._values))

    def __iter__(self) -> Iterator[tuple[str, Any, Any, float]]:
        for place, item in self._reader:
            if isinstance(item, Unreadable):
                raise DecantError(f"{place}: {item.fault}", item.remedy)
            if isinstance(item, NotJudged):
                self.without_text.append(f"{place}: {item.reason}")
            elif isinstance(item, Given):  # no batches are asked for
                yield from self._pairs(place, item)
        if not self._values:
            where = SCORED.get(self.layout)
            raise DecantError(f"{self.path}: no pair has a score", f"write {where}" if where else REMEDY)

    def _pairs(self, place: str, given: Given) -> Iterator[tuple[str, Any, Any, float]]:
        texts = [text for side in (given.positive, given.negative, given.candidates) for text in _listed(side)]
        scores = given.scores or [None] * len(texts)
        if len(scores) != len(texts):
            raise DecantError(f"{place}: {len(scores)} scores for {len(texts)} texts", "give each text one score")
        for text, score in zip(texts, scores, strict=True):
            if score is None:
                self.without_score += 1
            else:
                if len(self._values) <= MOST_LABELS:
                    self._values.add(score)
                yield place, given.query, text, score


def open_scored(
    path: Path,
    splits: Iterable[Path],
    *,
    layout: str = "auto",
    columns: Mapping[str, str] = {},
    encoding: str | None = None,
    corpus: Path | None = None,
) -> ScoredFile | ScoredRun:
    """The scored pairs of a file in any layout, or of a TREC run, whose ids are those of some splits' texts.

    Args:
        path, layout, columns, encoding, corpus: see `ScoredFile`; the layout of a run is `trec-run`, which "auto" finds
            by the file's suffix.
        splits: whose texts a run names.

    Raises:
        DecantError: the file is missing, no layout has the name, or an option is not one of a run's.
    """
    if not path.exists():
        raise DecantError(f"{path}: there is no such file or folder", "name the file that has the scores")
    if layout != RUN and (layout not in FORMATS or not FORMATS[layout].rows or FORMATS[layout].embedded):
        known = ", ".join((*SCORED, RUN))
        raise DecantError(f"there is no layout {layout!r} with scores", f"name one of {known}, or leave it out")
    if layout != RUN and not (layout == "auto" and _is_run(path)):
        return ScoredFile(path, layout=layout, columns=columns, encoding=encoding, corpus=corpus)
    if columns or encoding or corpus:
        raise DecantError(
            f"{path}: a TREC run has six columns, is read as UTF-8, and names the texts of the track's splits",
            "leave --columns, --encoding and --corpus out, or name the file's layout with --format",
        )
    return ScoredRun(path, splits)


def _is_run(path: Path) -> bool:
    plain = path.with_suffix("") if compression(path) else path
    return path.is_file() and plain.suffix.lower() in RUN_SUFFIXES


def _layout(path: Path, named: str, columns: Mapping[str, str], encoding: str | None) -> str:
    """The layout of the first rows.

    A query, a passage and a column `score` make scores here, whatever numbers these are; `fetch` takes low whole ones
    for labels.

    Raises:
        DecantError: nothing can be read, or the layout has no scores.
    """
    if path.is_dir() and named == "auto" and (found := _folder_layout(path)):
        raise DecantError(f"{path}: a folder in the layout {found} has no scores of a teacher", REMEDY)
    first = list(islice(read_file(path, encoding), PEEK))
    keys = {key for _, record in first if not isinstance(record, Unreadable) for key in record}
    if not first:
        raise DecantError(f"{path}: there is no row in it", REMEDY)
    if named == "auto" and _are_triples(keys, columns):
        return "scored_pairs"
    rows = Rows(first, FORMATS[named].layout, columns, join=False)
    scored = [item for _, item in islice(rows, len(first)) if isinstance(item, Given) and item.scores]
    if rows.layout in LAYOUTS and rows.layout not in SCORED and not scored:
        found = ", ".join(sorted(keys))
        raise DecantError(f"{path}: the layout {rows.layout} has no scores of a teacher (columns: {found})", REMEDY)
    return rows.layout or named


def _folder_layout(path: Path) -> str | None:
    settings = DataSet(source=f"path:{path}", train="train", test=1, task="")
    found = format_of(settings, path, "train", repository=False)
    return None if found == "auto" else found


def _are_triples(keys: Iterable[str], columns: Mapping[str, str]) -> bool:
    names = folded(keys, renamed(columns, None))
    return "score" in names and all(scored_pairs.COLUMNS.find(name, names) for name in ("query", "passage"))


def _listed(side: Any) -> list[Any]:
    """The texts of a side, as `count` counts them."""
    return [] if not count(side) else list(side) if isinstance(side, list | tuple) else [side]
