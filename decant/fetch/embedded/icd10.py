"""The `icd10` set: find the code's title for a synonym, among titles that share its words.

Source: the ICD-10-CM tabular list (US CDC/NCHS, public domain), which the package `simple-icd-10-cm` ships as XML.
Query: a synonym (inclusion term) of a code. Positives: the code's title and its other synonyms. Negatives: the titles
of other codes (broader and narrower ones included) nearest to the query by TF-IDF over words. Splits are by
three-character category, and candidates come from the query's own split alone.
"""

import random
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from decant.data.sets import SPLITS, Row, normalise
from decant.errors import DecantError
from decant.fetch.embedded import SHARES, first_rows
from decant.fetch.embedded.nearest import make_search
from decant.fetch.settings import DataSet
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
    codes = _codes(source)
    allotted = allot_groups(Counter(code.category for code in codes), SHARES, seed)
    seen: set[str] = set()
    splits: dict[str, list[Row]] = {}
    for split in reversed(SPLITS):  # test first: what it holds is taken out of dev and train
        members = [code for code in codes if allotted[code.category] == split]
        rows = _rows(members, seen, negatives, random.Random(f"{seed}-{split}"), sizes[split])
        splits[split] = first_rows("icd10", split, rows, sizes[split])
        seen |= {normalise(text) for code in members for text in (code.title, *code.synonyms)}
    return splits


def corpus(root: Path, settings: DataSet) -> Iterable[tuple[str, str]]:
    """See `decant.fetch.corpora.ReadCorpus`: the titles of all codes, each once, whatever split a code is in."""
    del settings
    names: dict[str, str] = {}
    for code in _codes(root):
        names.setdefault(code.title, code.name)
    return ((name, title) for title, name in names.items())


def _codes(source: Path) -> list[Code]:
    path = source / TABULAR_LIST
    if not path.is_file():
        raise DecantError(
            f"{path}: the tabular list is not there", "install the simple-icd-10-cm that params.yaml names"
        )
    return list(read_codes(ElementTree.parse(path).getroot()))


def read_codes(root: ElementTree.Element) -> Iterator[Code]:
    """All codes that have a title, in the order of the tabular list."""
    for diag in root.iter("diag"):
        name, title = diag.findtext("name"), diag.findtext("desc")
        if name and title:
            synonyms = (" ".join(note.text.split()) for note in diag.findall("inclusionTerm/note") if note.text)
            yield Code(name, " ".join(title.split()), tuple(dict.fromkeys(synonyms)))


def _rows(codes: list[Code], seen: set[str], negatives: int, rng: random.Random, count: int) -> list[Row]:
    """Rows for one synonym each of `count` codes; codes whose words too few titles share are passed over."""
    titles = {code.title: code for code in codes if normalise(code.title) not in seen}
    pool = list(titles.values())
    askable = [code for code in codes if code.synonyms]
    rng.shuffle(askable)
    asked = [rng.choice(code.synonyms) for code in askable]
    search = make_search(list(titles), asked)
    rows: list[Row] = []
    queries: set[str] = set()
    for number, (code, query) in enumerate(zip(askable, asked, strict=True)):
        if len(rows) == count:
            break
        named = {normalise(text): text for text in reversed((code.title, *code.synonyms))}
        named.pop(normalise(query))
        if not named or normalise(query) in seen or normalise(query) in queries or seen & named.keys():
            continue
        near: dict[str, str] = {}
        for place, similarity in search(number):
            if similarity <= 0 or len(near) == negatives:
                break
            key = normalise(pool[place].title)
            if key not in named and key != normalise(query) and pool[place].name != code.name:
                near.setdefault(key, pool[place].title)
        if len(near) == negatives:
            queries.add(normalise(query))
            rows.append(Row(query, sorted(named.values()), list(near.values())))
    return rows
