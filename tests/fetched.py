"""What tests look at in a fetched set's folder."""

from pathlib import Path

from decant.dataset import SPLITS, Row, normalise, read_split


def splits_of(folder: Path) -> dict[str, list[Row]]:
    return {split: read_split(folder / f"{split}.parquet").rows for split in SPLITS}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def asked(rows: list[Row]) -> set[str]:
    return {normalise(text) for row in rows for text in (row.query, *row.positive)}
