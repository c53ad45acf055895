"""The columns of a layout, and which of a row's columns they are."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Seen = Mapping[str, list[Any]]  # the folded name of each column of the first rows → its values
QUERY_ID = ("qid", "queryid", "question_id", "questionid")
# One text each. The spellings of sentence-transformers' n-tuples, and `pos_1`.
NUMBERED = re.compile(r"(?:hard_)?(pos|neg)(?:itives?|atives?)?_?(\d{1,9})", re.ASCII)


@dataclass(frozen=True)
class Columns:
    """The columns that a layout uses.

    Attributes:
        spellings: the layout's own name of a column → other names that are taken for it, in order of preference.
            Decant's names, such as `positive`, are among them, so that `columns` can name them.
        query: the columns one of which is required; all others are optional.
        candidates: those that hold positives or unlabelled candidates.
        negatives: those that hold negatives.
        metadata: folded names of columns that belong to the layout and are of no use here.
        numbered: whether `negative_1`, `negative_2` and so on are columns too.
        texts: the columns of the query, of the positives and of the negatives, whose texts are a row's as they stand;
            None of a layout whose rows need converting.
    """

    spellings: Mapping[str, tuple[str, ...]]
    query: tuple[str, ...]
    candidates: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    metadata: frozenset[str] = field(default=frozenset())
    numbered: bool = False
    texts: tuple[str, str, str] | None = None

    def find(self, column: str, names: Iterable[str]) -> str | None:
        """The name under which a column of the layout stands among folded names; None where it does not."""
        present = set(names)
        return next((name for name in (column, *self.spellings[column]) if name in present), None)

    def knows(self, name: str) -> bool:
        """Whether a folded name is one of the layout's columns."""
        spelled = any(name == column or name in others for column, others in self.spellings.items())
        return spelled or (self.numbered and bool(NUMBERED.fullmatch(name)))

    def holds_candidates(self, own_names: Iterable[str]) -> bool:
        """Whether positives or unlabelled candidates are among columns, by the layout's own names."""
        return any(name in self.candidates or _is_numbered(name, "pos") for name in own_names)

    def holds_negatives(self, own_names: Iterable[str]) -> bool:
        """Whether negatives are among columns, by the layout's own names."""
        return any(name in self.negatives or _is_numbered(name, "neg") for name in own_names)

    def assign(self, keys: Iterable[str], renamed: Mapping[str, str]) -> dict[str, str]:
        """The keys of a row that the layout uses → the layout's own names.

        Args:
            keys: of the row, as the source spells them.
            renamed: key → Decant's name, as the user maps them; these go before all other spellings.
        """
        names = folded(keys, renamed)
        mapped = set(renamed.values())
        assigned: dict[str, str] = {}
        for column, others in self.spellings.items():
            for name in sorted((column, *others), key=lambda name: name not in mapped):
                if name in names and names[name] not in assigned:
                    assigned[names[name]] = column
                    break
        if self.numbered:
            assigned |= {key: name for name, key in names.items() if NUMBERED.fullmatch(name)}
        return assigned


def _is_numbered(name: str, side: str) -> bool:
    match = NUMBERED.fullmatch(name)
    return match is not None and match[1] == side


def fold(key: str) -> str:
    """A column's name without what does not tell two columns apart: case, and hyphens or blanks for underscores."""
    return re.sub(r"[\s\-]+", "_", key.strip()).casefold()


def folded(keys: Iterable[str], renamed: Mapping[str, str]) -> dict[str, str]:
    """Folded name → key, of a row; without the keys of one name between which nothing decides.

    Args:
        keys: of the row.
        renamed: key → Decant's name; it goes before a key that has this name itself.
    """
    names, others = {}, []
    for key in keys:
        if key in renamed:
            names[renamed[key]] = key
        else:
            others.append(key)
    spelled = Counter(map(fold, others))
    exact = {key: key for key in others if fold(key) == key}
    only = {fold(key): key for key in others if spelled[fold(key)] == 1}
    return {**only, **exact, **names}
