"""Read rows through their layout, and tell what of them was not used."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple, cast

import pyarrow as pa

from decant.data.files import Batch, BatchReader, BatchRecord, Record, Unreadable
from decant.data.sets import LABELLED
from decant.fetch.layouts.columns import Columns, fold, folded
from decant.fetch.layouts.detect import check_columns, detect, module, renamed
from decant.fetch.layouts.given import LayoutModule
from decant.fetch.layouts.join import Read, joined
from decant.fetch.layouts.refuse import refuse_unlabelled, refuse_unseen, refuse_without_query

PEEK = 100  # rows that decide on the layout
_MOST_SHAPES = 10_000  # kept at a time


class _Shape(NamedTuple):
    """What rows with the same keys have in common.

    Attributes:
        names: key → the layout's name; None where rows can go to the layout as they are.
        unused: keys that the layout does not use.
    """

    names: dict[str, str] | None
    unused: tuple[str, ...]


class Rows:
    """Rows of a source, each as (place, `Given`), or as (place, `Unreadable`) where it has not the layout's shape.

    Where asked to, many rows at once as (place, `Batch`), of the schema `LABELLED`, where a layout takes texts as they
    stand.

    Args:
        records: (place, row) pairs; what is Unreadable already is passed on.
        layout: a name in `LAYOUTS`; None to find it out from the columns of the first rows.
        columns: Decant's name of a column, or the layout's → the name that the source gives it.
        ignore: columns to leave aside.
        join: whether to join the rows of one query, where the layout asks for it.
        batches: whether batches may come.

    Attributes:
        layout: its name; known with the first row, empty where no row can be read.
        unused: column that the layout does not use → an example of its values; whole after the last row.
        rows: the number of rows read.

    Raises:
        DecantError: an argument names what is not there; or, while reading, no column holds a query, or none holds
            candidates while one that is not used may do so.
    """

    def __init__(
        self,
        records: Iterable[Record | BatchRecord],
        layout: str | None,
        columns: Mapping[str, str] = {},
        ignore: Collection[str] = (),
        *,
        join: bool = True,
        batches: bool = False,
    ) -> None:
        self.layout = layout or ""
        self.unused: dict[str, Any] = {}
        self.rows = 0
        self._records = records
        self._named = layout
        self._renamed = renamed(columns, layout)
        self._ignore = frozenset(ignore)
        self._join = join
        self._wanted = records.wanted if batches and isinstance(records, BatchReader) else None
        self._unseen = set(self._renamed)  # columns that the user names and no row has so far
        self._empty: set[str] = set()  # unused columns whose example is empty so far
        self._has_candidates = self._has_negatives = False

    def __iter__(self) -> Iterator[Read | BatchRecord]:
        self.rows = 0
        records = iter(self._records)
        first, rows = _peek(cast(Iterator[Record], records))  # no schema is wanted yet
        everything = chain(first, records)
        if not rows:
            yield from ((place, record) for place, record in first if isinstance(record, Unreadable))
            self.rows = len(first)
            return
        place = next(place for place, record in first if not isinstance(record, Unreadable))
        layout = self._settle(place, rows)
        if self._wanted is not None and not layout.JOINS:
            self._wanted.schema = self._schema(rows[0], layout.COLUMNS)
        read = self._read(everything, layout)
        yield from joined(cast(Iterator[Read], read)) if layout.JOINS and self._join else read  # no batches are to join
        if self._unseen:
            refuse_unseen(place, sorted(self._unseen), rows)
        if not self._has_candidates:
            refuse_unlabelled(place, {key: [value] for key, value in self.unused.items()}, self._has_negatives)

    def _settle(self, place: str, rows: list[dict[str, Any]]) -> LayoutModule:
        """The layout of the first rows; a DecantError where they have no query, or no candidates that they may have."""
        values: dict[str, list[Any]] = defaultdict(list)
        for row in rows:
            for key, value in row.items():
                if key not in self._ignore:
                    values[key].append(value)
        names = folded(values, self._renamed)
        found = self._named or detect({name: values[key] for name, key in names.items()})
        if found is None:
            refuse_without_query(place, values, None)
        self.layout, layout = found, module(found)
        check_columns(self._renamed.values(), found)
        self._check(place, values, layout.COLUMNS)
        return layout

    def _schema(self, row: Mapping[str, Any], columns: Columns) -> pa.Schema | None:
        """The schema of rows with one row's keys, if these are a query and lists of texts, and nothing else.

        What rows of fewer keys have is known from the rows before them; those of other keys are not of this schema.
        """
        assigned = columns.assign([key for key in row if key not in self._ignore], self._renamed)
        if columns.texts is None or {*assigned.values()} != {*columns.texts} or len(assigned) != len(row):
            return None
        keys = {name: key for key, name in assigned.items()}
        return pa.schema([(keys[name], field.type) for name, field in zip(columns.texts, LABELLED, strict=True)])

    def _check(self, place: str, values: Mapping[str, list[Any]], columns: Columns) -> None:
        assigned = columns.assign(values, self._renamed)
        filled = {name for key, name in assigned.items() if any(value is not None for value in values[key])}
        if not set(assigned.values()) & set(columns.query):
            refuse_without_query(place, values, self.layout)
        if not columns.holds_candidates(filled):
            unused = {key: values[key] for key in self._unused(values, assigned, columns)}
            refuse_unlabelled(place, unused, columns.holds_negatives(filled))

    def _unused(self, keys: Iterable[str], assigned: Mapping[str, str], columns: Columns) -> list[str]:
        aside = self._ignore | assigned.keys()
        return [key for key in keys if key not in aside and fold(key) not in columns.metadata]

    def _read(self, records: Iterable[Record | BatchRecord], layout: LayoutModule) -> Iterator[Read | BatchRecord]:
        shapes: dict[tuple[str, ...], _Shape] = {}
        for place, record in records:
            if isinstance(record, Batch):
                self.rows += len(record.rows)
                yield place, record._replace(rows=record.rows.rename_columns(LABELLED.names))
                continue
            self.rows += 1
            if isinstance(record, Unreadable):
                yield place, record
                continue
            keys = tuple(record)
            shape = shapes.get(keys)
            if shape is None:
                if len(shapes) == _MOST_SHAPES:
                    shapes.clear()
                shape = shapes[keys] = self._shape(keys, layout.COLUMNS)
                self._note(shape, record)
            if self._empty:
                self._find_examples(record)
            if shape.names is not None:
                record = {name: record[key] for key, name in shape.names.items()}
            yield place, layout.convert(record)

    def _shape(self, keys: tuple[str, ...], columns: Columns) -> _Shape:
        used = [key for key in keys if key not in self._ignore]
        assigned = columns.assign(used, self._renamed)
        self._unseen.difference_update(keys)
        self._has_candidates |= columns.holds_candidates(assigned.values())
        self._has_negatives |= columns.holds_negatives(assigned.values())
        others = [key for key in keys if key not in assigned]
        plain = all(key == name for key, name in assigned.items()) and not any(map(columns.knows, others))
        return _Shape(None if plain else assigned, tuple(self._unused(keys, assigned, columns)))

    def _note(self, shape: _Shape, record: Mapping[str, Any]) -> None:
        """Note the unused columns of rows with new keys."""
        for key in shape.unused:
            if key not in self.unused:
                self.unused[key] = record[key]
                self._empty.add(key)

    def _find_examples(self, record: Mapping[str, Any]) -> None:
        for key in list(self._empty):
            if record.get(key) not in (None, "", []):
                self.unused[key] = record[key]
                self._empty.remove(key)


def _peek(records: Iterator[Record]) -> tuple[list[Record], list[dict[str, Any]]]:
    """The first records, more of them as long as none can be read; and the rows among these."""
    first: list[Record] = []
    rows: list[dict[str, Any]] = []
    for place, record in records:
        first.append((place, record))
        if not isinstance(record, Unreadable):
            rows.append(record)
        if rows and len(first) >= PEEK:
            break
    return first, rows
