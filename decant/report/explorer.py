"""What the page's explorer of queries holds: texts, labels, ranks and average precision, packed into the page."""

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

from decant.report.ranked import RANKING, RankedSet, ranks

LARGEST = 3_200_000  # bytes of base64: the page stays below 5 MB
LENGTHS = (1000, 500, 300, 200, 120, 80)  # characters to which texts are cut, the first at which all fits


def pack(sets: Sequence[RankedSet], names: Sequence[str] = RANKING) -> dict[str, Any]:
    """Everything that the explorer shows, with the names of the models as the page has them.

    Texts are cut, and at last queries left out, those whose average precision changed least, until the whole is small
    enough.

    Returns:
        `data`: JSON, deflated, in base64; `length`: characters to which texts are cut, or None; `left_out`: queries;
        `names`.
    """
    longest = max((len(text) for of in sets for row in of.candidates for text in row), default=0)
    shares = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01)
    lengths = [LENGTHS[0], *(length for length in LENGTHS[1:] if length < longest)]  # the others cut nothing
    tries = [(length, 1.0) for length in lengths] + [(LENGTHS[-1], share) for share in shares[1:]]
    for length, share in tries:
        content = {"names": names, **_content(sets, length, share)}
        data = base64.b64encode(zlib.compress(json.dumps(content, ensure_ascii=False).encode(), 9)).decode()
        if len(data) <= LARGEST or share == shares[-1]:
            break
    shown = sum(len(of["queries"]) for of in content["sets"])
    left_out = sum(len(of.queries) for of in sets) - shown
    return {"data": data, "length": length if longest > length else None, "left_out": left_out, "names": names}


def _content(sets: Sequence[RankedSet], length: int, share: float) -> dict[str, Any]:
    """All sets, with each distinct text once."""
    places: dict[str, int] = {}

    def place(text: str) -> int:
        cut = text if len(text) <= length else text[: length - 1] + "…"
        return places.setdefault(cut, len(places))

    packed = [
        {
            "track": of.track,
            "domain": of.domain,
            "dataset": of.dataset,
            "queries": [
                {
                    "n": number,
                    "q": place(of.queries[number]),
                    "c": [place(text) for text in of.candidates[number]],
                    "p": of.positives[number],
                    "r": [ranks(of.scores[model][number]) for model in RANKING],
                    "a": [round(float(of.precision[model][number]), 6) for model in RANKING],
                }
                for number in _chosen(of, share)
            ],
        }
        for of in sets
    ]
    return {"sets": packed, "texts": list(places)}


def _chosen(of: RankedSet, share: float) -> list[int]:
    """The numbers of the queries that changed most, in their order."""
    count = max(1, round(share * len(of.queries)))
    by_change = sorted(range(len(of.queries)), key=lambda number: -abs(of.change[number]))
    return sorted(by_change[:count])
