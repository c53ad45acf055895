"""The `icd10` set: find the code's title for a synonym, among titles that share its words.

Source: the ICD-10-CM tabular list (US CDC/NCHS, public domain), which the package
`simple-icd-10-cm` ships as XML. Query: a synonym (inclusion term) of a code. Positives: the code's
title and its other synonyms. Negatives: the titles of other codes (broader and narrower ones included)
nearest to the query by TF-IDF over words. Splits are by three-character category, and candidates come
from the query's own split alone.
"""

import random
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from decant.data.sets import SPLITS, Row, normalise
from decant.errors import DecantError
from decant.fetch.embedded import SHARES, check_size
from decant.fetch.splits import allot_groups

TABULAR_LIST = "icd10c-tabular-April-1-2026.xml"


@dataclass(frozen=True)
class Code:
    """One code of the tabular list, its title and its synonyms."""

    name: str
    title: str
    synonyms: tuple[str, ...]

    @property
    def category(self) -> str:
        """The three-character category, such as B07 for B07.0."""
        return self.name[:3]


def build(
    source: Path, packages: Sequence[str], sizes: Mapping[str, int], negatives: int, seed: int
) -> dict[str, list[Row]]:
    """See `decant.fetch.build.Build`. The source is the package's data folder, which holds the tabular list."""
    del packages
    path = source / TABULAR_LIST
    if not path.is_file():
        raise DecantError(
            f"{path}: the ICD-10-CM tabular list is not there",
            "install the version of simple-icd-10-cm that params.yaml names",
        )
    codes = list(read_codes(ElementTree.parse(path).getroot()))
    per_category: dict[str, int] = {}
    for code in codes:
        per_category[code.category] = per_category.get(code.category, 0) + 1
    allotted = allot_groups(per_category, SHARES, seed)
    seen: set[str] = set()
    splits: dict[str, list[Row]] = {}
    for split in reversed(SPLITS):  # test first: what it holds is taken out of dev and train
        members = [c for c in codes if allotted[c.category] == split]
        taken = {normalise(t) for c in members for t in (c.title, *c.synonyms)}
        rows = _rows(members, seen, negatives, random.Random(f"{seed}-{split}"), sizes[split])
        check_size("icd10", split, rows, sizes[split])
        splits[split] = rows
        seen |= taken
    return splits


def read_codes(root: ElementTree.Element) -> Iterator[Code]:
    """All codes that have a title, in the order of the tabular list."""
    for diag in root.iter("diag"):
        name, title = diag.findtext("name"), diag.findtext("desc")
        if name and title:
            synonyms = (" ".join(note.text.split()) for note in diag.findall("inclusionTerm/note") if note.text)
            yield Code(name, " ".join(title.split()), tuple(dict.fromkeys(synonyms)))


def _rows(codes: list[Code], seen: set[str], negatives: int, rng: random.Random, count: int) -> list[Row]:
    """Rows for one synonym each of `count` codes; codes whose words too few titles share are passed over."""
    titles = {c.title: c for c in codes if normalise(c.title) not in seen}
    pool = list(titles)
    vectorizer = TfidfVectorizer(token_pattern=r"(?u)\b\w\w+\b")
    matrix = vectorizer.fit_transform(pool).T.tocsr()
    askable = [c for c in codes if c.synonyms]
    rng.shuffle(askable)
    rows: list[Row] = []
    queries: set[str] = set()
    for code in askable:
        if len(rows) == count:
            break
        query = rng.choice(code.synonyms)
        named = {normalise(text): text for text in reversed((code.title, *code.synonyms))}
        named.pop(normalise(query))
        if not named or normalise(query) in seen | queries or seen & named.keys():
            continue
        similarity = (vectorizer.transform([query]) @ matrix).toarray()[0]
        near: dict[str, str] = {}
        for index in np.argsort(-similarity, kind="stable"):
            if similarity[index] <= 0 or len(near) == negatives:
                break
            other = titles[pool[index]]
            key = normalise(other.title)
            if key not in named and key != normalise(query) and other.name != code.name:
                near.setdefault(key, other.title)
        if len(near) == negatives:
            queries.add(normalise(query))
            rows.append(Row(query, sorted(named.values()), list(near.values())))
    return rows
