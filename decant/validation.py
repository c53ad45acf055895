"""The one validator through which every reranking set passes, and the count of what its splits share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from decant.dataset import Row, normalise
from decant.errors import DecantError

Duplicates = Literal["keep", "merge", "refuse"]


@dataclass(frozen=True)
class Faults:
    """What the validator found and mended or let pass, for the set's card."""

    duplicate_queries: int
    repeated_candidates: int
    conflicting_labels: int


def validate(
    records: Iterable[tuple[str, Mapping[str, Any]]], duplicates: Duplicates, *, labelled: bool
) -> tuple[list[Row], Faults]:
    """Turn raw records into rows.

    Args:
        records: (place, record) pairs; the place names file and line for the messages.
        duplicates: what to do about a query that comes again: keep both rows, merge their
            candidates (a positive label wins), or refuse the set.
        labelled: refuse rows without labels (dev and test need them).

    Returns:
        the rows, and the count of what was found.

    Raises:
        DecantError: at the first record that breaks the contract.
    """
    rows: dict[str, Row] = {}
    repeated = conflicting = seen_again = total = 0
    kept: list[Row] = []
    for place, record in records:
        row, repeats = _row(place, record, labelled)
        total += 1
        if kept and bool(kept[0].unlabelled) != bool(row.unlabelled):
            raise DecantError(
                f"{place}: the row is {'not ' if row.unlabelled else ''}labelled, unlike the rows before it",
                "label all rows of the split (`positive`, `negative`) or none (`candidates`)",
            )
        repeated += repeats
        earlier = rows.get(row.query)
        if earlier is None:
            rows[row.query] = row
            kept.append(row)
            continue
        seen_again += 1
        if duplicates == "refuse":
            raise DecantError(
                f"{place}: the query {_short(row.query)} stands in an earlier row too",
                "remove one of them, or set the data set's `duplicates` to `merge` or `keep`",
            )
        if duplicates == "keep":
            kept.append(row)
            continue
        positive = list(dict.fromkeys(earlier.positive + row.positive))
        both = list(dict.fromkeys(earlier.negative + row.negative))
        negative = [text for text in both if text not in set(positive)]
        conflicting += len(both) - len(negative)
        if both and not negative:
            raise DecantError(
                f"{place}: merged with the earlier row of the query {_short(row.query)}, no negative is left",
                "correct the labels of the two rows, or set the data set's `duplicates` to `keep`",
            )
        merged = Row(row.query, positive, negative, list(dict.fromkeys(earlier.unlabelled + row.unlabelled)))
        rows[row.query] = merged
    if not total:
        raise DecantError("the split holds no row", "check the source's file or split name")
    faults = Faults(seen_again, repeated, conflicting)
    return (list(rows.values()) if duplicates == "merge" else kept), faults


def _row(place: str, record: Mapping[str, Any], labelled: bool) -> tuple[Row, int]:
    if not isinstance(record, Mapping):
        raise DecantError(
            f"{place}: a row is {_short(record)}, not an object", "write one object with query, positive and negative"
        )
    if "query" not in record:
        raise DecantError(
            f"{place}: there is no `query` (found: {', '.join(map(str, record)) or 'nothing'})",
            "name the columns query, positive, negative",
        )
    query = _text(place, "query", record["query"])
    if record.get("candidates") is not None and record.get("positive") is not None:
        raise DecantError(
            f"{place}: the row has both `candidates` and `positive`", "give positive and negative, or candidates alone"
        )
    if record.get("candidates") is not None:
        if labelled:
            raise DecantError(
                f"{place}: the candidates have no labels, which dev and test rows need",
                "give `positive` and `negative` instead of `candidates`",
            )
        candidates, repeats = _texts(place, "candidates", record["candidates"])
        if len(candidates) < 2:
            raise DecantError(f"{place}: `candidates` holds fewer than two texts", "add candidates or remove the row")
        return Row(query, unlabelled=candidates), repeats
    positive, repeats = _texts(place, "positive", record.get("positive"))
    negative, more = _texts(place, "negative", record.get("negative"))
    if both := set(positive) & set(negative):
        raise DecantError(
            f"{place}: the text {_short(min(both))} is both positive and negative for its query",
            "remove it from one of the two lists",
        )
    return Row(query, positive, negative), repeats + more


def _texts(place: str, key: str, value: Any) -> tuple[list[str], int]:
    if value is None:
        raise DecantError(f"{place}: there is no `{key}`", "name the columns query, positive, negative")
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
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DecantError(
            f"{place}: `{key}` holds half of a surrogate pair, which is no text", "write the file as UTF-8"
        ) from error
    return value


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"


def overlap(train: Sequence[Row], other: Sequence[Row]) -> dict[str, float]:
    """Count what a split shares with train.

    Returns:
        `exact` and `near` (case, punctuation and white space folded): the number of distinct queries and
        positives of `other` that are a query or positive of train; `share`: `near` as a share of them
        all; `any_role`: texts of `other` in whatever role that are a query or positive of train.
    """

    def asked(rows: Sequence[Row]) -> set[str]:
        return {text for row in rows for text in (row.query, *row.positive)}

    train_texts, other_texts = asked(train), asked(other)
    train_near = {normalise(text) for text in train_texts}
    near = sum(normalise(text) in train_near for text in other_texts)
    everything = {text for row in other for text in (row.query, *row.candidates)}
    return {
        "exact": len(train_texts & other_texts),
        "near": near,
        "share": round(near / len(other_texts), 6) if other_texts else 0.0,
        "any_role": sum(normalise(text) in train_near for text in everything),
    }
