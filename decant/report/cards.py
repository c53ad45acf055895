"""The sets of the tracks as `fetch` describes them on their cards, as tables."""

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


def sets_table(comparison: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows, a row a set with its roles and its source, from metrics/comparison.json."""
    roles: dict[str, list[str]] = {}
    for track, block in comparison.items():
        for name, card in block.get("sets", {}).items():
            roles.setdefault(name, []).append(f"{track}'s {card['role'].replace('_', '-')}")
    rows = [[name, f"{', '.join(roles[name])}; {card['origin']}"] for name, card in _cards(comparison).items()]
    return ["set", "what for, and its source"], rows


def splits_table(comparison: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows, a row a split of a set, from metrics/comparison.json."""
    rows = []
    for name, card in _cards(comparison).items():
        for split, counts in card["splits"].items():
            left_out = f"{counts.get('rows_left_out', 0):,} / {counts.get('texts_left_out', 0):,}"
            figures = [f"{counts[key]:,}" if key in counts else "–" for key in COUNTS[:4]]
            near = f"{counts['near_duplicates']:,}" if "near_duplicates" in counts else "–"
            checksum = counts.get("sha256", "–")[:12]
            rows.append([name, split, *figures, left_out, near, checksum])
    return ["set", "split", *COUNTS[:4], "left out: rows / texts", "near duplicates", "SHA-256"], rows


def _cards(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """The cards of all tracks' sets, each once."""
    return {name: card for block in comparison.values() for name, card in block.get("sets", {}).items()}
