"""Sources for tests to fetch, and what they look at in a fetched set's folder."""

import json
from pathlib import Path
from typing import Any

from decant.data.sets import SPLITS, Row, normalise, read_split
from decant.fetch.settings import DataSet


def splits_of(folder: Path) -> dict[str, list[Row]]:
    return {split: read_split(folder / f"{split}.parquet").rows for split in SPLITS}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def asked(rows: list[Row]) -> set[str]:
    return {normalise(text) for row in rows for text in (row.query, *row.positive)}


NAMED = {split: f"{split}.jsonl" for split in SPLITS}


def source(path: Path, **changes: Any) -> DataSet:
    """A user's own files, from whose train file 3 dev and 4 test queries are carved."""
    settings = {"source": f"path:{path}", "train": "train.jsonl", "dev": 3, "test": 4, "task": "Find it"}
    return DataSet.model_validate({**settings, **changes})


def write(folder: Path, rows: list[Row], split: str = "train") -> None:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({k: v for k, v in vars(row).items() if v and k != "unlabelled"}) for row in rows]
    (folder / f"{split}.jsonl").write_text("\n".join(lines))


def unrelated(count: int, name: str = "") -> list[Row]:
    """Rows that share nothing with each other but their negatives."""
    return [
        Row(f"{name}query {n}", [f"{name}positive {n}"], ["common negative", f"negative {n}"]) for n in range(count)
    ]
