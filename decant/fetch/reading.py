"""Open a split of a source: through its format, its layout of rows, and the corpus that its rows name by ids."""

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from decant.data.files import Batch, Record
from decant.errors import DecantError
from decant.fetch.items import Item, NotJudged
from decant.fetch.layouts.given import Given, TextId
from decant.fetch.layouts.read import Rows
from decant.fetch.readers import FORMATS, beir, mteb, ranked
from decant.fetch.settings import DataSet


class Read(Protocol):
    """The function `read` of a format's module."""

    def __call__(
        self, root: Path, split: str, settings: DataSet, *, repository: bool
    ) -> Iterable[Record | tuple[str, Item]]:
        """Yield (place, record): the place names file and line for messages.

        A record is what stands in a row, for `decant.fetch.layouts`, or what was made of it already.

        Args:
            root: the source's file or folder.
            split: what the set's `train`, `dev` or `test` names.
            settings: of the set.
            repository: whether the root is a hub's repository, whose splits may lie in any files.
        """


ROWS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".arrow", ".feather")  # in the name of a file of rows


def format_of(settings: DataSet, root: Path, split: str, *, repository: bool) -> str:
    """The name of the format: as params say or, where they leave it open, as the source is laid out."""
    if settings.format != "auto":
        return settings.format
    if not repository and any(suffix in split.lower() for suffix in ROWS):
        return "auto"
    if not repository and beir.is_laid_out(root):
        return "beir"
    card = root / "README.md"
    configured = card.is_file() and "configs:" in card.read_text(encoding="utf-8", errors="replace")
    return "mteb" if configured and mteb.is_laid_out(root) else "auto"


class SplitReader:
    """The records of a split, and afterwards what its source holds that no reader uses.

    `join=False` leaves the rows of one query apart, each at its own place. With `batches` rows may come as batches.

    Attributes:
        layout: how the source is laid out, known at the end.
        unused: column → an example of what stands in it.
        prompts: query prompts that came with the rows, "" for none, each with its number of rows.
    """

    def __init__(
        self, settings: DataSet, root: Path, split: str, *, repository: bool, join: bool = True, batches: bool = False
    ) -> None:
        self.root, self.settings = root, settings
        name = format_of(settings, root, split, repository=repository)
        read: Read = importlib.import_module(FORMATS[name].module).read
        records: Any = read(root, split, settings, repository=repository)
        layout, rows = FORMATS[name].layout, None
        if FORMATS[name].rows:
            rows = Rows(records, layout, settings.columns, settings.ignore, join=join, batches=batches)
        self._items: Iterable[tuple[str, Item]] = records if rows is None else rows
        self._rows, self.layout, self._join = rows, name, join
        self.unused: dict[str, Any] = {}
        self.prompts: dict[str, int] = {}

    def __iter__(self) -> Iterator[tuple[str, Item]]:
        texts = _TextsById(self.root, self.settings)
        for place, item in self._items:
            if self._judges_none_relevant(item):
                yield place, NotJudged("queries without a relevant document")
            elif isinstance(item, Given):
                self._count(item.prompt, 1)
                yield from texts.resolved(place, item)
            elif isinstance(item, Batch):
                self._count("", len(item.rows))
                yield place, item
            else:
                yield place, item
        if self._rows is not None:
            self.layout = self._rows.layout or self.layout
            self.unused = {name: value for name, value in self._rows.unused.items() if value not in (None, "", [])}

    def _judges_none_relevant(self, item: Item) -> bool:
        """Whether an item is a query without a positive among its labelled pairs; sets of questions have many."""
        of_pairs = self._join and self._rows is not None and self._rows.layout == "labelled_pairs"
        return of_pairs and isinstance(item, Given) and not item.positive and bool(item.negative)

    def _count(self, prompt: str, rows: int) -> None:
        self.prompts[prompt] = self.prompts.get(prompt, 0) + rows


class _TextsById:
    """Puts the texts in the place of their ids, which are read when the first id is met."""

    def __init__(self, root: Path, settings: DataSet) -> None:
        self._folder = root.parent if root.is_file() else root
        self._settings = settings
        self._known: dict[str, dict[str, str]] = {}

    def resolved(self, place: str, given: Given) -> Iterator[tuple[str, Item]]:
        """A record with its texts, and what it names that has none."""
        lists = [items for items in (given.positive, given.negative, given.candidates) if isinstance(items, list)]
        if isinstance(given.query, TextId):
            text = self._texts("queries", "qgen-queries").get(given.query)
            if text is None:
                yield place, NotJudged("queries without a text")
                return
            given.query = text
        if not any(TextId in set(map(type, items)) for items in lists):
            yield place, given
            return
        corpus = self._texts("corpus")
        number, kept = 0, []
        for items in lists:
            found = []
            for item in items:
                text = corpus.get(item) if isinstance(item, TextId) else item
                if text is None:
                    yield place, NotJudged("documents without a text")
                else:
                    found.append(text)
                    kept.append(number)
                number += 1
            items[:] = found
        parallels: tuple[list[Any] | None, ...] = given.ids, given.scores, given.grades
        for parallel in parallels:
            if parallel and len(parallel) == number:
                parallel[:] = [parallel[place] for place in kept]
        yield place, given

    def _texts(self, name: str, *others: str) -> dict[str, str]:
        if name not in self._known:
            named = getattr(self._settings, name)
            path = self._folder / named if named else ranked.found_file(self._folder, name, *others)
            if path is None:
                raise DecantError(
                    f"{self._folder}: rows name texts by their ids, and there is no {name} file",
                    f"name the file with the columns id and text in the set's `{name}`",
                )
            self._known[name] = ranked.texts_of(path, encoding=self._settings.encoding)
        return self._known[name]
