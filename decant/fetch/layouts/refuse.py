"""Refuse rows whose columns Decant does not know, and guess how to name them."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import yaml

from decant.errors import DecantError

# Of columns that describe a row rather than hold its texts: ids, addresses and times, and what sets are sorted by.
_METADATA = re.compile(
    r"""(.*_)?(id|ids|uid|uuid|guid|idx|index|url|uri|link|at|date|time|timestamp|year|source|type|name|lang|language)
    | author|category|created|dataset|difficulty|domain|file|filename|hash|label|license|locale|meta|metadata|model
    | page|rank|row|section|split|subset|tags?|task|title|topic|updated|user|version""",
    re.VERBOSE,
)
_NEGATIVE = re.compile(
    r"(^|_)(neg|hard|bad|wrong|false|reject|distract|noise|irrel|unrel|incorrect|(not?|non)_?(rel|corr|gold))"
)
_POSITIVE = re.compile(r"(^|_)(pos|good|rel|answer|correct|gold|true|right|chosen|target|response|match)")
_QUERY = re.compile(r"(^|_)(q|que|ask|anchor|search|prompt|input|keyword|title|text_?[1a]$|sentence_?[1a]$)")


def refuse_without_query(place: str, values: Mapping[str, Sequence[Any]], layout: str | None) -> NoReturn:
    """Refuse rows in which no column is known to hold queries, and show how to name one.

    Args:
        place: of the first row.
        values: each column of the first rows, as the source spells it → its values.
        layout: that the user names; None where none is found.
    """
    found = ", ".join(map(_quoted, values)) or "nothing"
    texts = _text_columns(values)
    named = next((name for name in texts if _QUERY.search(_words(name))), None)
    query = named or next(iter(texts), "…")
    others = [name for name in texts if name != query]
    names = {"query": query, **(_guess(others, _with_objects(others, values)) or {"positive": "…"})}
    of_layout = f" of the layout {layout}" if layout else ""
    raise DecantError(
        f"{place}: no column holds a query{of_layout} (found: {found})",
        f"name the columns in the set's block, such as `columns: {_flow(names)}`",
    )


def refuse_unlabelled(place: str, values: Mapping[str, Sequence[Any]], negatives: bool) -> None:
    """Refuse rows without positives or candidates if an unused column may hold them, and show how to name it.

    Args:
        place: of the first row.
        values: each unused column, as the source spells it → some of its values.
        negatives: whether another column holds negatives.

    Raises:
        DecantError: a column has texts and is not plain metadata.
    """
    texts = _text_columns(values)
    if not texts:
        return
    objects = _with_objects(texts, values)
    names = _guess(objects or texts, objects)
    if negatives:
        names = {name: column for name, column in names.items() if name.startswith("positive")}
    named = " and ".join(map(_quoted, texts))
    known, them = ("the column", "it") if len(texts) == 1 else ("the columns", "them")
    mapping = f"write `columns: {_flow(names)}` in the set's block, or " if names else "write "
    raise DecantError(
        f"{place}: no column holds {'positives' if negatives else 'candidates'} that Decant knows of, "
        f"and {known} {named} may do so",
        f"{mapping}`ignore: {_flow(texts)}` to leave {them} aside",
    )


def refuse_unseen(place: str, keys: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> NoReturn:
    """Refuse names in the user's `columns` that no row has.

    Args:
        place: of the first row.
        keys: the names.
        rows: the first rows.
    """
    found = ", ".join(map(_quoted, dict.fromkeys(key for row in rows for key in row))) or "nothing"
    raise DecantError(
        f"{place}: neither this nor any other row has {' or '.join(map(_quoted, keys))}, which `columns` names",
        f"correct `columns` in the set's block (found: {found})",
    )


def _guess(columns: Sequence[str], objects: Collection[str]) -> dict[str, str]:
    """Decant's names for columns: by what their names say, else in their order.

    Args:
        columns: as the source spells them.
        objects: those that hold objects with texts, as Tevatron's passages are.
    """
    negative = [name for name in columns if _NEGATIVE.search(_words(name))]
    positive = [name for name in columns if name not in negative and _POSITIVE.search(_words(name))]
    others = [name for name in columns if name not in positive and name not in negative]
    positive = positive or others[:1]
    negative = negative or [name for name in others if name not in positive][:1]
    guessed: dict[str, str] = {}
    for side, names in (("positive", positive), ("negative", negative)):
        for number, name in enumerate(names, start=1):
            own = f"{side}_passages" if name in objects else side
            guessed[own if len(names) == 1 else f"{side}_{number}"] = name
    return guessed


def _text_columns(values: Mapping[str, Sequence[Any]]) -> list[str]:
    """The columns that hold texts, or objects with texts, and are not plain metadata."""
    return [name for name in values if not _is_metadata(name) and any(map(_is_text, _items(values[name])))]


def _with_objects(columns: Iterable[str], values: Mapping[str, Sequence[Any]]) -> list[str]:
    return [name for name in columns if any(map(_is_object, _items(values[name])))]


def _is_metadata(name: str) -> bool:
    return bool(_METADATA.fullmatch(_words(name)))


def _words(name: str) -> str:
    """A column's name in small letters, its words apart: `BadPassage-1` is bad_passage_1."""
    return re.sub(r"[\W_]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)).strip("_").casefold()


def _items(values: Sequence[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _is_text(item: Any) -> bool:
    """Whether it is a text that is no number and no address, or an object that holds a text."""
    if _is_object(item):
        return True
    if not isinstance(item, str) or not item.strip() or item.startswith(("http://", "https://")):
        return False
    return not re.fullmatch(r"[\d\s.,:;+\-eE/%]*|true|false|null|none|nan", item.strip(), re.IGNORECASE)


def _is_object(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("text"), str)


def _quoted(name: str) -> str:
    printable = name.encode("utf-8", "backslashreplace").decode()  # JSON can hold half of a surrogate pair
    return f"`{printable}`"


def _flow(value: Any) -> str:
    """A value as one line of YAML."""
    shown = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6)
    return str(shown).strip()
