"""The words of a text, as BM25 and the search for near-duplicates count them."""

import re
import unicodedata

# Scripts without spaces between words, each of whose signs is a word here: Han, Hiragana, Katakana.
_SIGN = re.compile(r"[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


class _Words(dict[int, int]):
    """For `str.translate`: letters, digits, marks and symbols as they are, all else as blanks; filled as needed."""

    def __missing__(self, code: int) -> int:
        character = chr(code)
        kept = character.isalnum() or unicodedata.category(character)[0] in "MS"
        self[code] = code if kept else ord(" ")
        return self[code]


_WORDS = _Words()
_ASCII_WORDS = bytes(range(128)).decode().lower().translate(_WORDS).encode() + bytes(range(128, 256))


def normalise(text: str) -> str:
    """Fold what does not make two texts different: case, width, punctuation and white space."""
    if text.isascii():  # the same, several times as fast
        return " ".join(text.encode().translate(_ASCII_WORDS).decode().split()) or text.lower().strip()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.translate(_WORDS).split()) or folded.strip()


def words(text: str) -> list[str]:
    """The words of a text in their order: case, width and punctuation folded, nothing stemmed, none left out."""
    return words_of_folded(normalise(text))


def words_of_folded(text: str) -> list[str]:
    """The words of a text that `normalise` has folded."""
    return (text if text.isascii() else _SIGN.sub(r" \g<0> ", text)).split()
