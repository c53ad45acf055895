"""The words of a text, as BM25 and the search for near-duplicates count them."""

import re

from decant.data.sets import normalise

# Scripts without spaces between words, each of whose signs is a word here: Han, Hiragana, Katakana.
_SIGN = re.compile(r"[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def words(text: str) -> list[str]:
    """The words of a text in their order: case, width and punctuation folded, nothing stemmed, none left out."""
    return words_of_folded(normalise(text))


def words_of_folded(text: str) -> list[str]:
    """The words of a text that `normalise` has folded."""
    return (text if text.isascii() else _SIGN.sub(r" \g<0> ", text)).split()
