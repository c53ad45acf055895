"""Which rows of a batch have nothing wrong with their texts: a few looks at all of them together tell."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from decant.data.sets import normalise
from decant.fetch.similarity import count_near, telling_words
from decant.fetch.texts import UNSEEN

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
_AROUND = 8  # bytes
_ODD = np.uint64(0x9E3779B97F4A7C15)  # Knuth's multiplier: the golden ratio in 64 bits


class Soundness(NamedTuple):
    """Of each row of a batch.

    Attributes:
        sound: whether it passes as it is: a visible query, positives and negatives that are visible, each once, and no
            negative that folds to a positive.
        near: how many negatives are near to a positive, where it is sound.
    """

    sound: Mask
    near: Numbers


class _Texts:
    """The texts of an Arrow array, or of its lists, as they lie in memory.

    Attributes:
        bytes: of all texts, with zeros around them.
        ends: where each text begins in them, and where the last one ends.
        lengths: of each text, in bytes.
        counts: of each row, the number of its texts.
        rows: of each text, the number of its row.
    """

    def __init__(self, column: pa.StringArray | pa.ListArray) -> None:
        lists = isinstance(column, pa.ListArray)
        self.column = column
        self.values: pa.StringArray = column.flatten() if lists else column
        _, ends, data = self.values.buffers()
        offset = self.values.offset
        self.ends = np.frombuffer(ends, np.int32)[offset : offset + len(self.values) + 1].astype(np.int64) + _AROUND
        self.bytes = b"".join([bytes(_AROUND), data or b"", bytes(_AROUND)])
        self.lengths = np.diff(self.ends)
        self.counts = np.diff(column.offsets.to_numpy()) if lists else np.ones(len(column), np.int32)
        self.rows = np.repeat(np.arange(len(column)), self.counts)

    @property
    def characters(self) -> npt.NDArray[np.uint8]:
        """The bytes as an array."""
        return np.frombuffer(self.bytes, np.uint8)


def soundness(rows: pa.RecordBatch) -> Soundness:
    """See `Soundness`; rows of the schema `LABELLED`, whose null texts and lists are empty as to their lengths."""
    query, positive, negative = map(_Texts, rows.columns)
    sound = (positive.counts > 0) & (negative.counts > 0)
    for texts in (query, positive, negative):
        sound[texts.rows[~_visible(texts)]] = False
    for row in np.flatnonzero(_may_repeat(positive, negative) & sound).tolist():
        candidates = [*positive.column[row].as_py(), *negative.column[row].as_py()]
        sound[row] = len({*candidates}) == len(candidates)
    near = np.zeros(len(rows), np.int64)
    for row in _suspects(positive, negative):
        if sound[row]:
            count = count_near(positive.column[row].as_py(), negative.column[row].as_py())
            sound[row], near[row] = count is not None, count or 0
    return Soundness(sound, near)


# Whether a character is visible, by the first two bytes of its UTF-8; False where these do not tell.
_VISIBLE = np.ones((256, 256), np.bool_)
for _character in (character.encode(errors="surrogatepass") for character in UNSEEN):
    _VISIBLE[_character[0], _character[1] if len(_character) > 1 else slice(None)] = False


def _visible(texts: _Texts) -> Mask:
    """Whether the first character of a text is visible."""
    first = texts.ends[:-1]
    return _VISIBLE[texts.characters[first], texts.characters[first + 1]] & (texts.lengths > 0)


def _may_repeat(positive: _Texts, negative: _Texts) -> Mask:
    """Whether a row may have a text twice; where not, it has none."""
    marks = np.concatenate([_marks(positive), _marks(negative)])
    rows = np.concatenate([positive.rows, negative.rows])
    keys = np.sort((rows.astype(np.uint64) << 40) | (marks >> 24))
    repeats = np.zeros(len(positive.column), np.bool_)
    repeats[keys[1:][keys[1:] == keys[:-1]] >> 40] = True
    return repeats


def _marks(texts: _Texts) -> npt.NDArray[np.uint64]:
    """A number of each text, the same for equal texts: hashed from its length, its first and its last eight bytes."""
    eights = np.ndarray((len(texts.bytes) - 7,), "<u8", texts.bytes, strides=(1,))  # from every place
    beyond = (8 * (8 - np.clip(texts.lengths, 1, 8))).astype(np.uint64)  # bits of the eight bytes beyond the text
    first, last = eights[texts.ends[:-1]] << beyond, eights[texts.ends[1:] - 8] >> beyond
    return ((first * _ODD) ^ last) * _ODD + texts.lengths.astype(np.uint64) * _ODD


def _suspects(positive: _Texts, negative: _Texts) -> list[int]:
    """The rows that have a telling word of a positive in their negatives: no other has one near to it, or folded alike.

    The negatives of a row are searched as they lie there, in lower case; those that are not ASCII are folded before.
    """
    searched = negative.bytes.lower()
    bounds = negative.ends[np.concatenate([[0], np.cumsum(negative.counts)])].tolist()
    folded = _folded(negative)
    suspects = []
    for row, text in zip(positive.rows.tolist(), positive.values.to_pylist(), strict=True):
        begin, end, others = bounds[row], bounds[row + 1], folded.get(row, "")
        for word in telling_words(text or ""):
            if searched.find(word.encode(), begin, end) >= 0 or word in others:
                suspects.append(row)
                break
    return suspects


def _folded(texts: _Texts) -> dict[int, str]:
    """Row → its texts that are not ASCII, folded; only of rows with any."""
    if texts.bytes.isascii():
        return {}
    places = np.flatnonzero(texts.characters >= 128)
    numbers = np.unique(np.searchsorted(texts.ends, places, "right") - 1)
    by_row: defaultdict[int, list[str]] = defaultdict(list)
    for number in numbers.tolist():
        by_row[int(texts.rows[number])].append(texts.values[number].as_py())
    return {row: normalise("\n".join(others)) for row, others in by_row.items()}
