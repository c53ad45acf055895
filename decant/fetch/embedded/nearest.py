"""The texts nearest to a query by TF-IDF over words."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer


def make_search(texts: Sequence[str], queries: Sequence[str]) -> Callable[[int], Iterator[tuple[int, float]]]:
    """A function from a query's number to (place, similarity) of every text, the nearest first, then by place."""
    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w\w+\b")
    matrix = vectorizer.fit_transform(texts).T.tocsr()
    vectors = vectorizer.transform(queries)

    def search(number: int) -> Iterator[tuple[int, float]]:
        similar = vectors[number] @ matrix  # to those texts alone that share a word
        similar.sort_indices()
        order = np.argsort(-similar.data, kind="stable")
        yield from zip(similar.indices[order].tolist(), similar.data[order].tolist(), strict=True)
        yield from ((int(place), 0.0) for place in np.setdiff1d(np.arange(len(texts)), similar.indices))

    return search
