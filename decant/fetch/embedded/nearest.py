"""The texts nearest to a query by TF-IDF over words."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer


def make_search(texts: Sequence[str]) -> Callable[[str], Iterator[tuple[int, float]]]:
    """A function from a query to (place, similarity) of every text, the nearest first."""
    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w\w+\b")
    matrix = vectorizer.fit_transform(texts).T.tocsr()

    def search(query: str) -> Iterator[tuple[int, float]]:
        similarity = (vectorizer.transform([query]) @ matrix).toarray()[0]
        return ((int(place), similarity[place]) for place in np.argsort(-similarity, kind="stable"))

    return search
