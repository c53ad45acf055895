"""Count the texts that a model cuts: they have more tokens than it reads."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from decant.data.digests import WIDTH, Keys, digests, first_occurrences, pair_keys

# A role, "query" or "document", and texts → the tokens of each, special tokens and prompts included. Of a model that
# reads pairs, a query's and a document's add up to their pair's, and each special token is counted with one of them.
TokensOf: TypeAlias = Callable[[str, Sequence[str]], Sequence[int]]
Tokens: TypeAlias = npt.NDArray[np.int64]

SIDES = {"query": "query", "document": "candidate"}  # a text's role → the column of pairs that it stands in
TEXTS_AT_ONCE = 4096


def count_cut(
    pairs: Iterable[pa.RecordBatch], tokens_of: TokensOf, max_length: int, *, of_texts: bool
) -> dict[str, dict[str, Any]]:
    """Count what is longer than a model reads. Each distinct text is read once, and kept as its digest and its length.

    Args:
        pairs: batches with the columns `query` and `candidate`.
        tokens_of: of the model.
        max_length: in tokens.
        of_texts: whether the model reads queries and documents apart; else it reads pairs.

    Returns:
        `queries` and `documents`, or `pairs` → `distinct`, their number; `cut`, the number of those that are longer
        than `max_length`; and `share`, cut / distinct.
    """
    known: dict[str, dict[bytes, int]] = {role: {} for role in SIDES}
    keys: list[Keys] = [np.empty((0, 2 * WIDTH), dtype=np.uint8)]
    cut: list[npt.NDArray[np.bool_]] = [np.empty(0, dtype=bool)]
    for batch in pairs:
        found = [_look_up(batch.column(SIDES[role]), role, known[role], tokens_of) for role in SIDES]
        if not of_texts:
            keys.append(pair_keys(found[0][0], found[1][0]))
            cut.append(found[0][1] + found[1][1] > max_length)
    if of_texts:
        lengths = {"queries": known["query"], "documents": known["document"]}
        return {name: _counts(len(of), sum(each > max_length for each in of.values())) for name, of in lengths.items()}
    first = first_occurrences(np.concatenate(keys))
    return {"pairs": _counts(len(first), int(np.concatenate(cut)[first].sum()))}


def described(counts: Mapping[str, Mapping[str, Any]]) -> str:
    """What is cut, of what `count_cut` returned, in words; empty where nothing is."""
    parts = [f"{count['cut']} of {count['distinct']} {name}" for name, count in counts.items() if count["cut"]]
    return " and ".join(parts)


def _counts(distinct: int, cut: int) -> dict[str, Any]:
    return {"distinct": distinct, "cut": cut, "share": round(cut / max(1, distinct), 6)}


def _look_up(texts: pa.Array, role: str, known: dict[bytes, int], tokens_of: TokensOf) -> tuple[Keys, Tokens]:
    """The digest and the number of tokens of each text, after counting those that are not `known` yet."""
    encoded = texts.dictionary_encode()
    keys = digests(encoded.dictionary)
    names = [key.tobytes() for key in keys]
    new = [place for place, name in enumerate(names) if name not in known]
    for start in range(0, len(new), TEXTS_AT_ONCE):
        places = new[start : start + TEXTS_AT_ONCE]
        counted = tokens_of(role, encoded.dictionary.take(pa.array(places)).to_pylist())
        known.update(zip((names[place] for place in places), counted, strict=True))
    numbers = encoded.indices.to_numpy(zero_copy_only=False)
    return keys[numbers], np.array([known[name] for name in names], dtype=np.int64)[numbers]
