"""Texts that share most of their words: which of many are near to one, without comparing them all."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache

from decant.data.sets import normalise
from decant.data.words import words_of_folded

# Of near-duplicates: the share of the words of two texts together that stand in both (Jaccard). At 0.8 one word of nine
# may be another; a text of fewer than nine words must have the same words, since the titles of two diseases, or the
# summaries of two functions, often differ in one.
THRESHOLD = 0.8

Words = frozenset[str]


def words_of(folded: str) -> Words:
    """The distinct words of a text that `normalise` has folded."""
    return frozenset(words_of_folded(folded))


def are_near(one: Words, other: Words) -> bool:
    """Whether two texts share enough of their words."""
    return len(one & other) / len(one | other) >= THRESHOLD


@cache
def telling(count: int) -> int:
    """How many of a text's words decide: a text that has none of any such number of them cannot be near to it.

    Two texts that are near share at least the threshold's part of the words of either; so they share one of any choice
    of `count` - ceil(THRESHOLD · `count`) + 1 of them (prefix filtering: Chaudhuri, Ganti and Kaushik, 2006).
    """
    return count - math.ceil(THRESHOLD * count - 1e-9) + 1


def telling_words(text: str) -> list[str]:
    """The telling words of a text, folded: its longest, which are likely to be rare. Any choice is right."""
    words = words_of(normalise(text))
    return sorted(words, key=len)[-telling(len(words)) :]


def alike(positive: Sequence[str], negative: Sequence[str]) -> list[str]:
    """The negatives that have one of the telling words of a positive: no other can be near to one, or fold to it."""
    everything = "\n".join(negative)
    fold = str.lower if everything.isascii() else normalise
    blob = fold(everything)
    found = [word for text in positive for word in telling_words(text) if word in blob]
    return [text for text in negative if any(word in fold(text) for word in found)] if found else []


def count_near(positive: Sequence[str], negative: Sequence[str]) -> int | None:
    """How many negatives are near to a positive; None where one folds to a positive."""
    suspects = alike(positive, negative)
    if suspects and not {normalise(text) for text in positive}.isdisjoint(map(normalise, suspects)):
        return None
    return near_duplicates(positive, suspects)


def near_duplicates(positive: Sequence[str], negative: Sequence[str]) -> int:
    """How many negatives share nearly all their words with a positive."""
    positives = [words_of(normalise(text)) for text in positive] if negative else []
    negatives = (words_of(normalise(text)) for text in negative)
    return sum(any(are_near(words, others) for words in positives) for others in negatives)


class Near:
    """Finds which of some texts, given by their distinct words, another text is near to."""

    def __init__(self, texts: Iterable[Words]) -> None:
        texts = set(texts)
        seen = Counter(word for text in texts for word in text)
        self._by_word: defaultdict[str, list[Words]] = defaultdict(list)
        for text in texts:
            for word in sorted(text, key=lambda word: (seen[word], word))[: telling(len(text))]:
                self._by_word[word].append(text)

    def find(self, text: Words) -> set[Words]:
        """The texts that are near to one, the equal ones among them."""
        found = {other for word in text & self._by_word.keys() for other in self._by_word[word]}
        return {other for other in found if are_near(text, other)}
