"""Read teacher scores: one row a query-candidate pair."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decant.dataset import Row
from decant.engines import Scores
from decant.errors import DecantError
from decant.files import read_json, sha256

# `row` is the number of the set's row that a pair comes from; the pairs of a row follow one another, positives first.
SCHEMA = pa.schema(
    [
        ("row", pa.int32()),
        ("query", pa.string()),
        ("candidate", pa.string()),
        ("label", pa.int8()),
        ("score", pa.float32()),
    ]
)


def read_scores(folder: Path, name: str) -> pa.Table:
    """Read one file of teacher scores whole; see `open_scores`."""
    with open_scores(folder, name) as file:
        return file.read()


def open_scores(folder: Path, name: str) -> pq.ParquetFile:
    """Open one file of teacher scores, after its SHA-256 was found to be the manifest's.

    Raises:
        DecantError: the file is not there, or is not the one that the manifest describes.
    """
    path = folder / f"{name}.parquet"
    track = folder.name
    if not path.is_file():
        raise DecantError(
            f"{path}: the teacher's scores are not there", f"`dvc pull score@{track}`, or `dvc repro score@{track}`"
        )
    expected = read_json(folder / "manifest.json")["files"][path.name]["sha256"]
    if sha256(path) != expected:
        raise DecantError(
            f"{path}: the file is not the one that manifest.json describes (SHA-256 differs)",
            f"remove it and fetch it again: `dvc pull --force score@{track}`",
        )
    return pq.ParquetFile(path, pre_buffer=False)  # else all that was read is held until it is closed


def scores_for(table: pa.Table, rows: Sequence[Row], quarantined: int = 0) -> Scores:
    """The score of every pair of the rows, in their order; pairs that were set aside rank below all of their query's.

    Args:
        table: of `SCHEMA`.
        rows: of the split that was scored.
        quarantined: how many of its pairs were set aside.

    Returns:
        float32, shape (pairs,).

    Raises:
        DecantError: the table is of another split.
    """
    columns = [table.column(name).to_pylist() for name in ("row", "query", "candidate", "score")]
    known = {(number, query, candidate): score for number, query, candidate, score in zip(*columns, strict=True)}
    found: list[list[float | None]] = [
        [known.get((number, row.query, text)) for text in row.candidates] for number, row in enumerate(rows)
    ]
    missing = [(row, place) for row, scores in enumerate(found) for place, score in enumerate(scores) if score is None]
    if len(missing) != quarantined:
        row, place = missing[0] if missing else (0, 0)
        raise DecantError(
            f"{len(missing)} pairs have no teacher score, and {quarantined} were set aside; the first is "
            f"{(rows[row].query, rows[row].candidates[place])!r}",
            "the set has changed: run `dvc repro score`",
        )
    for row, place in missing:
        found[row][place] = min((score for score in found[row] if score is not None), default=0.0) - 1.0
    return np.array([score for scores in found for score in scores], dtype=np.float32)
