"""Read teacher scores, one row a query-candidate pair, and the embeddings that may lie beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant.data.pairs import PAIRS
from decant.data.sets import Row
from decant.errors import DecantError
from decant.files import read_json, sha256

Scores = npt.NDArray[np.float32]

# `row` is the number of the set's row that a pair comes from; the pairs of a row follow one another, positives first.
SCHEMA = PAIRS.append(pa.field("score", pa.float32()))

EMBEDDINGS = "embeddings.parquet"  # role, text, embedding


def files_of(folder: Path, name: str) -> dict[str, str]:
    """The files that hold the scores of `train`, `replay` or a test split: one, or one for each of a union's sets.

    Returns:
        the set's name, "" where the split is no union's → the file's name without suffix, such as `train.own`.
    """
    manifest = folder / "manifest.json"
    stems = [Path(file).stem for file in read_json(manifest)["files"]] if manifest.is_file() else []
    found = {stem.partition(".")[2]: stem for stem in stems if stem.partition(".")[0] == name}
    return found or {"": name}


def read_scores(folder: Path, name: str) -> pa.Table:
    """Read the teacher's scores of a split whole; see `files_of` and `open_scores`."""
    tables = []
    for file_name in files_of(folder, name).values():
        with open_scores(folder, file_name) as file:
            tables.append(file.read())
    return pa.concat_tables(tables)


def rows_of(folder: Path, name: str) -> dict[str, npt.NDArray[np.int64]]:
    """The rows of a split that have scores, by the file that holds them, without its suffix; see `files_of`."""
    rows = {}
    for stem in files_of(folder, name).values():
        with open_scores(folder, stem) as file:
            rows[stem] = np.unique(file.read(["row"])["row"].to_numpy())
    return rows


def open_scores(folder: Path, name: str) -> pq.ParquetFile:
    """Open one file of teacher scores whose SHA-256 is the manifest's.

    Raises:
        DecantError: the file is not there, or is not the one that the manifest describes.
    """
    path, stage = folder / f"{name}.parquet", f"score@{folder.name}"
    if not path.is_file():
        raise DecantError(f"{path}: the teacher's scores are not there", f"`dvc pull {stage}`, or `dvc repro {stage}`")
    return _open(path, read_json(folder / "manifest.json")["files"][path.name]["sha256"])


def _open(path: Path, expected: str) -> pq.ParquetFile:
    if sha256(path) != expected:
        raise DecantError(
            f"{path}: the file is not the one that manifest.json describes (SHA-256 differs)",
            f"remove it and fetch it again: `dvc pull --force score@{path.parent.name}`",
        )
    return pq.ParquetFile(path, pre_buffer=False)  # else all that was read is held until it is closed


class Embeddings:
    """A teacher's embeddings of texts, each in one role or in both.

    Args:
        roles: "query" or "document", shape (texts,).
        texts: shape (texts,).
        vectors: shape (texts, dimension), in the precision that they are kept in.
    """

    def __init__(self, roles: pa.Array, texts: pa.Array, vectors: npt.NDArray[np.floating[Any]]) -> None:
        self.vectors = vectors
        masks = {role: pc.equal(roles, role).to_numpy(zero_copy_only=False) for role in ("query", "document")}
        self.rows = {role: np.flatnonzero(mask) for role, mask in masks.items()}
        self.texts = {role: texts.take(pa.array(rows)) for role, rows in self.rows.items()}

    def find(self, role: str, texts: pa.Array) -> npt.NDArray[np.int64]:
        """The places of texts in `vectors`, −1 for those that are not there; shape (texts,).

        Args:
            role: "query" or "document": a model may put another prompt before each.
            texts: strings. Of a text with two prompts, the place is that with the train split's.
        """
        matches = pc.index_in(texts.cast(pa.large_string()), value_set=self.texts[role])
        there = matches.is_valid().to_numpy(zero_copy_only=False)
        places = np.full(len(texts), -1, dtype=np.int64)
        places[there] = self.rows[role][matches.drop_null().to_numpy()]
        return places


def read_embeddings(folder: Path) -> Embeddings:
    """Read the embeddings beside a track's scores, a row group at a time; see `open_embeddings`."""
    with open_embeddings(folder) as file:
        kind = file.schema_arrow.field("embedding").type
        vectors = np.empty((file.metadata.num_rows, kind.list_size), dtype=kind.value_type.to_pandas_dtype())
        roles, texts, start = [], [], 0
        for batch in file.iter_batches():
            part = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
            vectors[start : start + len(batch)] = part.reshape(len(batch), -1)
            start += len(batch)
            roles.append(batch.column("role"))
            texts.append(batch.column("text").cast(pa.large_string()))
    return Embeddings(pa.concat_arrays(roles), pa.concat_arrays(texts), vectors)


def open_embeddings(folder: Path) -> pq.ParquetFile:
    """Open the embeddings beside a track's scores, whose SHA-256 is the manifest's.

    Raises:
        DecantError: the file is not there, or is not the one that the manifest describes.
    """
    path, track = folder / EMBEDDINGS, folder.name
    described = read_json(folder / "manifest.json").get("embeddings") if path.is_file() else None
    if described is None:
        remedy = f"set {track}.teacher.embeddings to true, then `dvc repro score@{track}`"
        raise DecantError(f"{path}: the teacher's embeddings are not there", remedy)
    return _open(path, described["sha256"])


def scores_for(table: pa.Table, rows: Sequence[Row], quarantined: int = 0) -> Scores:
    """The score of every pair of the rows, in their order; quarantined pairs rank below all others of their query.

    Args:
        table: of `SCHEMA`.
        rows: of the split that was scored.
        quarantined: how many of its pairs have no score.

    Returns:
        float32, shape (pairs,).

    Raises:
        DecantError: the table is of another split.
    """
    *keys, scores = (table.column(name).to_pylist() for name in ("row", "query", "candidate", "score"))
    known = dict(zip(zip(*keys, strict=True), scores, strict=True))
    by_row: list[list[float | None]] = [
        [known.get((number, row.query, text)) for text in row.candidates] for number, row in enumerate(rows)
    ]
    missing = [(row, place) for row, scores in enumerate(by_row) for place, score in enumerate(scores) if score is None]
    if len(missing) != quarantined:
        row, place = missing[0] if missing else (0, 0)
        raise DecantError(
            f"{len(missing)} pairs have no teacher score, and {quarantined} are quarantined; the first is "
            f"{(rows[row].query, rows[row].candidates[place])!r}",
            "the set has changed: run `dvc repro score`",
        )
    for row, place in missing:
        by_row[row][place] = min((score for score in by_row[row] if score is not None), default=0.0) - 1.0
    return np.array([score for scores in by_row for score in scores], dtype=np.float32)
