"""Keys of texts and pairs in the store: digests of their content, and of the prompt before it."""

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import TypeAlias
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Keys: TypeAlias = npt.NDArray[np.uint8]  # one key a row

WIDTH = 16  # bytes of a text's key; a pair's is its query's and its candidate's, one after the other


def digests(texts: pa.Array) -> Keys:
    """The first 128 bits of BLAKE2b of each text's UTF-8, shape (texts, WIDTH); equal texts are hashed once."""
    encoded = texts.dictionary_encode()
    distinct = encoded.dictionary.cast(pa.binary()).to_pylist()
    raw = b"".join([blake2b(text, digest_size=WIDTH).digest() for text in distinct])
    numbers: npt.NDArray[np.int32] = encoded.indices.to_numpy(zero_copy_only=False)
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, WIDTH)[numbers]


def in_context(keys: Keys, context: str) -> Keys:
    """The keys of texts behind a prompt: the same text behind another prompt has another key."""
    mask = np.frombuffer(blake2b(context.encode(), digest_size=WIDTH, person=b"context").digest(), dtype=np.uint8)
    return keys ^ mask


def text_id(text: str) -> str:
    """An id for a text that has none: the 64-bit BLAKE2b of its UTF-8, as `b2sum -l 64` prints it, 16 hex digits."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def trec_id(given: str, text: str = "") -> str:
    """A text's id in TREC's files: as given, but a space becomes `%20`; `text_id` where none is given."""
    return re.sub(r"\s", lambda blank: quote(blank[0]), given) if given else text_id(text)


def pair_keys(left: Keys, right: Keys) -> Keys:
    """The keys of pairs, shape (pairs, 2 · WIDTH)."""
    return np.concatenate([left, right], axis=1)


def as_binary(keys: Keys) -> pa.Array:
    """Keys as Arrow's fixed-size binary, without a copy."""
    keys = np.ascontiguousarray(keys)
    return pa.Array.from_buffers(pa.binary(keys.shape[1]), len(keys), [None, pa.py_buffer(keys)])


def from_binary(keys: pa.Array) -> Keys:
    """The keys of what `as_binary` made, without a copy."""
    width, start = keys.type.byte_width, keys.offset
    flat = np.frombuffer(keys.buffers()[1], dtype=np.uint8, count=(start + len(keys)) * width)
    return flat.reshape(-1, width)[start:]


def buckets(keys: Keys) -> Iterator[npt.NDArray[np.int64]]:
    """The numbers of the keys, in ascending order, by the keys' first byte; without keys, none.

    Hash tables of a bucket's keys fit in the processor's caches, so that a look-up costs the same in a large store.
    """
    order = np.argsort(keys[:, 0], kind="stable")
    ends = np.cumsum(np.bincount(keys[:, 0], minlength=256))
    for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        yield order[start:end]


def first_occurrences(keys: Keys) -> npt.NDArray[np.int64]:
    """The numbers of the keys that do not repeat an earlier one, in ascending order."""
    firsts = []
    for bucket in buckets(keys):
        numbers = as_binary(keys[bucket]).dictionary_encode().indices.to_numpy(zero_copy_only=False)
        firsts.append(bucket[np.unique(numbers, return_index=True)[1]])
    return np.sort(np.concatenate(firsts))
