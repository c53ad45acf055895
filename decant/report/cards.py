"""The sets of the tracks as `fetch` describes them on their cards, as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decant.files import read_json

COUNTS = ("queries", "pairs", "positives", "negatives", "rows_left_out", "texts_left_out", "near_duplicates")


def read_cards(sets_folder: Path, sets: Mapping[str, str | None]) -> dict[str, dict[str, Any]]:
    """What the cards of a track's sets say, of a union each of its sets.

    Args:
        sets_folder: has a folder for each set.
        sets: role → name; None where the track has no such set.

    Returns:
        set → `role`, `origin` and `splits`: split → `COUNTS` and `sha256`, as far as its card has them.
    """
    told: dict[str, dict[str, Any]] = {}
    for role, name in sets.items():
        whole = read_json(sets_folder / name / "card.json") if name is not None else {"sets": {}}
        for each, card in whole.get("sets", {name: whole}).items():
            splits = {
                split: {key: described[key] for key in (*COUNTS, "sha256") if key in described}
                for split, described in card["splits"].items()
            }
            told[each] = {"role": role, "origin": _origin(card), "splits": splits}
    return told


def _origin(card: Mapping[str, Any]) -> str:
    """The source, with the commit or the packages that define it."""
    packages = [f"{name} {version}" for name, version in (card.get("packages") or {}).items()]
    pinned = ", ".join(packages) or (card.get("revision") or "")[:12]
    return f"{card['source']} ({pinned})" if pinned else str(card["source"])


def cards_table(comparison: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows, a row a split, the first with role and source, from metrics/comparison.json."""
    roles: dict[str, list[str]] = {}
    cards: dict[str, Any] = {}
    for track, block in comparison.items():
        for name, card in block.get("sets", {}).items():
            roles.setdefault(name, []).append(f"{track}: {card['role'].replace('_', '-')}")
            cards[name] = card
    rows = []
    for name, card in cards.items():
        for split, counts in card["splits"].items():
            left_out = f"{counts.get('rows_left_out', 0):,} / {counts.get('texts_left_out', 0):,}"
            figures = [f"{counts[key]:,}" if key in counts else "–" for key in COUNTS[:4]]
            near = f"{counts['near_duplicates']:,}" if "near_duplicates" in counts else "–"
            checksum = counts.get("sha256", "–")[:12]
            said = ["; ".join(roles[name]), card["origin"]] if split == next(iter(card["splits"])) else ["", ""]
            rows.append([name, split, *figures, left_out, near, checksum, *said])
    headers = ["set", "split", *COUNTS[:4], "left out: rows / texts", "near duplicates", "SHA-256", "role", "source"]
    return headers, rows
