"""The one validator through which every reranking set passes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from decant.data.files import Unreadable, checked
from decant.data.sets import Row
from decant.errors import DecantError
from decant.fetch.settings import Duplicates

COLUMNS = "query, positive and negative"


@dataclass(frozen=True)
class Faults:
    """Counts of what the validator mended or let pass, for the set's card."""

    duplicate_queries: int
    repeated_candidates: int
    conflicting_labels: int


def validate(
    records: Iterable[tuple[str, Mapping[str, Any] | Unreadable]], duplicates: Duplicates, *, labelled: bool
) -> tuple[list[Row], Faults]:
    """Turn raw records into rows.

    Args:
        records: (place, record) pairs; the place names file and line for the messages.
        duplicates: of a query: keep both rows, merge their candidates (a positive label wins), or refuse the set.
        labelled: refuse rows without labels or negatives (dev and test need both; for train they can be mined).

    Raises:
        DecantError: at the first record that breaks the contract.
    """
    rows: dict[str, Row] = {}
    kept: list[Row] = []
    seen_again = repeated = conflicting = 0
    for place, record in checked(records):
        row, repeats = _row(place, record, labelled)
        if kept and kept[0].labelled != row.labelled:
            raise DecantError(
                f"{place}: the row is {'' if row.labelled else 'not '}labelled, unlike the rows before it",
                "label all rows of the split (`positive`, `negative`) or none (`candidates`, or the query alone)",
            )
        kept.append(row)
        repeated += repeats
        if row.query not in rows:
            rows[row.query] = row
            continue
        seen_again += 1
        if duplicates == "refuse":
            raise DecantError(
                f"{place}: the query {_short(row.query)} is in an earlier row too",
                "remove one of them, or set the data set's `duplicates` to `merge` or `keep`",
            )
        if duplicates == "merge":
            rows[row.query], conflicts = _merge(place, rows[row.query], row)
            conflicting += conflicts
    if not kept:
        raise DecantError("the split holds no row", "check the source's file or split name")
    return list(rows.values()) if duplicates == "merge" else kept, Faults(seen_again, repeated, conflicting)


def _merge(place: str, earlier: Row, row: Row) -> tuple[Row, int]:
    """Two rows of a query as one, and how many of its negatives are positives in one of them."""
    positive, both, unlabelled = (
        list(dict.fromkeys(getattr(earlier, name) + getattr(row, name)))
        for name in ("positive", "negative", "unlabelled")
    )
    negative = [text for text in both if text not in set(positive)]
    if both and not negative:
        raise DecantError(
            f"{place}: merged with the earlier row of the query {_short(row.query)}, no negative is left",
            "correct the labels of the two rows, or set the data set's `duplicates` to `keep`",
        )
    return Row(row.query, positive, negative, unlabelled), len(both) - len(negative)


def _row(place: str, record: Mapping[str, Any], labelled: bool) -> tuple[Row, int]:
    if not isinstance(record, Mapping):
        raise DecantError(f"{place}: a row is {_short(record)}, not an object", f"write one object with {COLUMNS}")
    if "query" not in record:
        found = ", ".join(map(str, record)) or "nothing"
        raise DecantError(f"{place}: there is no `query` (found: {found})", f"name the columns {COLUMNS}")
    query = _text(place, "query", record["query"])
    if record.get("candidates") is not None:
        if record.get("positive") is not None:
            fault = f"{place}: the row has both `candidates` and `positive`"
            raise DecantError(fault, "give positive and negative, or candidates alone")
        if labelled:
            fault = f"{place}: the candidates have no labels, which dev and test rows need"
            raise DecantError(fault, "give `positive` and `negative` instead of `candidates`")
        candidates, repeats = _texts(place, "candidates", record["candidates"])
        if len(candidates) < 2:
            raise DecantError(f"{place}: `candidates` holds fewer than two texts", "add candidates or remove the row")
        return Row(query, unlabelled=candidates), repeats
    to_be_mined = not labelled and record.get("negative") in (None, [])
    if to_be_mined and record.get("positive") is None:
        return Row(query), 0
    positive, repeats = _texts(place, "positive", record.get("positive"))
    if to_be_mined:
        return Row(query, positive), repeats
    negative, more = _texts(place, "negative", record.get("negative"))
    if both := set(positive) & set(negative):
        raise DecantError(
            f"{place}: the text {_short(min(both))} is both positive and negative for its query",
            "remove it from one of the two lists",
        )
    return Row(query, positive, negative), repeats + more


def _texts(place: str, key: str, value: Any) -> tuple[list[str], int]:
    if value is None:
        raise DecantError(f"{place}: there is no `{key}`", f"name the columns {COLUMNS}")
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise DecantError(f"{place}: `{key}` is {_short(value)}", f"write `{key}` as a list of strings")
    if not items:
        raise DecantError(f"{place}: `{key}` is empty", "add a text to it, or remove the row")
    texts = [_text(place, f"{key}[{index}]", item) for index, item in enumerate(items)]
    unique = list(dict.fromkeys(texts))
    return unique, len(texts) - len(unique)


def _text(place: str, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DecantError(f"{place}: `{key}` is {_short(value)}, not a string", "write it as a string")
    if not value.strip():
        raise DecantError(f"{place}: `{key}` is an empty string", "write a text, or remove the row")
    if re.search(r"[\ud800-\udfff]", value):
        raise DecantError(f"{place}: `{key}` holds half of a surrogate pair", "write the file as UTF-8")
    return value


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
