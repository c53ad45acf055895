"""The `cwe` set: find the description of a software weakness for its name, or for a sentence that explains it.

Source: the Common Weakness Enumeration (MITRE, free to use under its terms), which the package `cwe2` ships as CSV.
Queries: the name of a weakness, and the first sentence of its extended description. Positive: its description.
Negatives: the descriptions of other weaknesses nearest to the query by TF-IDF over words. Splits are by the parent in
the research view, so that siblings, which are worded alike, stay together; candidates come from the query's own split.
"""

import csv
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from decant.data.sets import SPLITS, Row, normalise
from decant.errors import DecantError
from decant.fetch.embedded import SHARES, first_rows
from decant.fetch.embedded.nearest import make_search
from decant.fetch.settings import DataSet
from decant.fetch.splits import allot_groups

ALL_WEAKNESSES = "helpful_views/2000.csv"
SHORTEST = 6  # words of an explanation: less is a fragment, such as "For example, a ."
PARENT = re.compile(r"NATURE:ChildOf:CWE ID:(\d+):VIEW ID:1000:ORDINAL:Primary")


@dataclass(frozen=True)
class Weakness:
    """One entry of the list: its parent's number, and its texts; `explanation` may be empty."""

    parent: str
    name: str
    description: str
    explanation: str


def build(
    source: Path, packages: Sequence[str], sizes: Mapping[str, int], negatives: int, seed: int
) -> dict[str, list[Row]]:
    """See `decant.fetch.build.Build`. The source is one edition's folder, such as `cwe2/database_v49`."""
    del packages
    weaknesses = list(_read(source / ALL_WEAKNESSES))
    allotted = allot_groups(Counter(weakness.parent for weakness in weaknesses), SHARES, seed)
    seen: set[str] = set()  # texts of the splits before
    splits = {}
    for split in reversed(SPLITS):
        members = [weakness for weakness in weaknesses if allotted[weakness.parent] == split]
        rows = _rows(members, seen, negatives, random.Random(f"{seed}-{split}"))
        splits[split] = first_rows("cwe", split, rows, sizes[split])
        seen |= {normalise(text) for row in rows for text in (row.query, *row.candidates)}
    return splits


def corpus(root: Path, settings: DataSet) -> Iterable[tuple[str, str]]:
    """See `decant.fetch.corpora.ReadCorpus`: the descriptions of all weaknesses, each once."""
    del settings
    return (("", text) for text in dict.fromkeys(weakness.description for weakness in _read(root / ALL_WEAKNESSES)))


def _read(path: Path) -> Iterator[Weakness]:
    if not path.is_file():
        raise DecantError(f"{path}: the list of weaknesses is not there", "install the version of cwe2 in params.yaml")
    with path.open(newline="", encoding="utf-8") as file:
        for record in csv.DictReader(file):
            if record["Status"] in ("Deprecated", "Obsolete"):
                continue
            parent = PARENT.search(record["Related Weaknesses"])
            explanation = re.split(r"(?<=[.!?])\s", " ".join(record["Extended Description"].split()))[0]
            yield Weakness(
                parent[1] if parent else record["CWE-ID"],
                " ".join(record["Name"].split()),
                " ".join(record["Description"].split()),
                explanation if len(explanation.split()) >= SHORTEST else "",
            )


def _rows(weaknesses: list[Weakness], seen: set[str], negatives: int, rng: random.Random) -> list[Row]:
    """Rows for all names and explanations, in random order; texts that a split before has are passed over."""
    known = set(seen)
    pool, asked = [], []
    for weakness in weaknesses:
        if normalise(weakness.description) in known:
            continue
        known.add(normalise(weakness.description))
        pool.append(weakness.description)
        asked += [(text, len(pool) - 1) for text in (weakness.name, weakness.explanation) if len(text.split()) > 1]
    if not pool:
        return []
    rng.shuffle(asked)
    search = make_search(pool, [query for query, _ in asked])
    rows = []
    for number, (query, own) in enumerate(asked):
        if normalise(query) in known:
            continue
        near = [pool[place] for place, _ in islice(search(number), negatives + 1) if place != own][:negatives]
        if len(near) == negatives:
            known.add(normalise(query))
            rows.append(Row(query, [pool[own]], near))
    return rows
