"""Teacher scores: one row a query-candidate pair, with a manifest that says whose they are and that they are sane."""

import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from decant.dataset import Row, Split
from decant.engines import Scorer, Scores
from decant.errors import DecantError
from decant.files import read_json, sha256, write_json
from decant.sanity import check_split

SCHEMA = pa.schema([("query", pa.string()), ("candidate", pa.string()), ("label", pa.int8()), ("score", pa.float32())])


def score_splits(
    scorer: Scorer, splits: Mapping[str, Split], folder: Path, identity: Mapping[str, Any]
) -> dict[str, Any]:
    """Score every pair of every split and write `<name>.parquet` and `manifest.json` into `folder`.

    Args:
        scorer: the teacher.
        splits: name of the file → its rows and their task.
        folder: an existing folder to write into.
        identity: what the manifest says of the teacher and the data.

    Returns:
        the manifest.

    Raises:
        DecantError: the scores of a split cannot be right; see `decant.sanity`.
    """
    manifest: dict[str, Any] = {**identity, "files": {}}
    for name, split in splits.items():
        rows = split.rows
        queries = [row.query for row in rows for _ in row.candidates]
        candidates = [text for row in rows for text in row.candidates]
        labels = [label for row in rows for label in row.labels]
        scores = scorer.score(queries, candidates, split.task)
        check_split(rows, scores, name)
        path = folder / f"{name}.parquet"
        pq.write_table(pa.table([queries, candidates, labels, scores], schema=SCHEMA), path, compression="zstd")
        manifest["files"][path.name] = {
            "sha256": sha256(path),
            "queries": len(rows),
            "pairs": len(scores),
            "unique_texts": len(set(queries) | set(candidates)),
            "scores": _statistics(scores, labels),
        }
    write_json(folder / "manifest.json", manifest)
    return manifest


def engine_version(engine: str, url: str | None = None) -> str:
    """The installed version of the package behind an engine; of a server, its address."""
    if engine == "server":
        return f"server at {url}"
    if engine == "vllm":
        from decant.engines.vllm import installed_version

        return f"vllm {installed_version()}"
    return f"{engine} {importlib.metadata.version(engine)}"


def scored_pairs(folder: Path, teacher: Mapping[str, Any], tasks: Mapping[str, str]) -> dict[str, set[tuple[str, str]]]:
    """The pairs that a folder holds a teacher's scores of, by the file's name.

    Args:
        folder: of a track's scores; it need not be there.
        teacher: the teacher's block of params; scores of another one do not count.
        tasks: file's name → the set's task; scores for another task do not count.
    """
    path = folder / "manifest.json"
    if not path.is_file() or (manifest := read_json(path))["teacher"] != dict(teacher):
        return {}
    known = {}
    for name, task in tasks.items():
        if f"{name}.parquet" in manifest["files"] and manifest["data"][name].get("task") == task:
            table = read_scores(folder, name)
            columns = (table.column(column).to_pylist() for column in ("query", "candidate"))
            known[name] = set(zip(*columns, strict=True))
    return known


def _statistics(scores: Scores, labels: Sequence[int | None]) -> dict[str, float | None]:
    marks = np.array([-1 if label is None else label for label in labels])
    quantiles = np.quantile(scores, [0.05, 0.5, 0.95])
    values = {
        "min": scores.min(),
        "q05": quantiles[0],
        "median": quantiles[1],
        "q95": quantiles[2],
        "max": scores.max(),
        "mean": scores.mean(dtype=np.float64),
        "std": scores.std(dtype=np.float64),
        "mean_of_positives": scores[marks > 0].mean(dtype=np.float64) if (marks > 0).any() else None,
        "mean_of_negatives": scores[marks == 0].mean(dtype=np.float64) if (marks == 0).any() else None,
    }
    return {name: None if value is None else round(float(value), 6) for name, value in values.items()}


def read_scores(folder: Path, name: str) -> pa.Table:
    """Read one file of teacher scores, after its SHA-256 was found to be the manifest's.

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
    return pq.read_table(path)


def scores_for(table: pa.Table, rows: Iterable[Row]) -> npt.NDArray[np.float32]:
    """Look up the score of every pair of the rows, by content.

    Raises:
        DecantError: a pair has no score.
    """
    keys = zip(table.column("query").to_pylist(), table.column("candidate").to_pylist(), strict=True)
    known = dict(zip(keys, table.column("score").to_pylist(), strict=True))
    try:
        return np.array([known[row.query, text] for row in rows for text in row.candidates], dtype=np.float32)
    except KeyError as error:
        raise DecantError(
            f"the teacher never scored the pair {error.args[0]!r}", "the set has changed: run `dvc repro score`"
        ) from error
