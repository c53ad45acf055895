"""The tables of the tracks' sets say what their cards say."""

from pathlib import Path

from decant.files import write_json
from decant.report.cards import read_cards, sets_table, splits_table

CARD = {"source": "hub:a/set", "revision": "0123456789abcdef" * 2, "packages": {}, "splits": {}}
SPLIT = {
    "queries": 1200,
    "pairs": 9000,
    "positives": 1500,
    "negatives": 7500,
    "near_duplicates": 12,
    "rows_left_out": 3,
    "texts_left_out": 4,
    "sha256": "ab" * 32,
}


def test_each_split_is_a_row_with_its_counts(tmp_path: Path) -> None:
    write_json(tmp_path / "own/card.json", {**CARD, "splits": {"train": SPLIT, "test": {**SPLIT, "queries": 7}}})
    write_json(tmp_path / "embedded/card.json", {**CARD, "revision": None, "packages": {"cwe2": "3.0.0"}})
    told = read_cards(tmp_path, {"in_domain": "own", "out_of_domain": "embedded", "guard": None})
    comparison = {"embedding": {"sets": told}, "reranker": {"sets": {"own": told["own"]}}}
    headers, rows = splits_table(comparison)
    figures = ["9,000", "1,500", "7,500", "3 / 4", "12", "ab" * 6]
    assert rows == [["own", "train", "1,200", *figures], ["own", "test", "7", *figures]]
    assert len(headers) == len(rows[0])
    assert sets_table(comparison)[1] == [
        ["own", "embedding's in-domain, reranker's in-domain; hub:a/set (0123456789ab)"],
        ["embedded", "embedding's out-of-domain; hub:a/set (cwe2 3.0.0)"],
    ]


def test_of_a_union_each_set_is_told(tmp_path: Path) -> None:
    sizes = {"a": 5, "b": 6}
    cards = {name: {**CARD, "splits": {"train": {**SPLIT, "queries": size}}} for name, size in sizes.items()}
    write_json(tmp_path / "both/card.json", {"union": sizes, "sets": cards, "splits": {}})
    _, rows = splits_table({"embedding": {"sets": read_cards(tmp_path, {"in_domain": "both"})}})
    assert [row[:3] for row in rows] == [["a", "train", "5"], ["b", "train", "6"]]


def test_without_cards_there_is_no_table() -> None:
    assert sets_table({"embedding": {}})[1] == splits_table({"embedding": {}})[1] == []
