"""What came out of each cell of a grid with each seed: figures as CSV, the values of the queries as Parquet."""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from decant.errors import DecantError
from decant.evaluate.metrics import METRICS
from decant.evaluate.run import DOMAINS
from decant.experiments.grids import Grid
from decant.files import atomic_file
from decant.report.statistics import Values

FIGURES = [(domain, metric) for domain in DOMAINS for metric in METRICS]
COLUMNS = (
    "cell",
    "track",
    "seed",
    *(f"{domain}.{metric}" for domain, metric in FIGURES),
    "training_seconds",
    "digest",
    "revision",
    "fault",
)


@dataclass(frozen=True)
class Result:
    """What came out of one cell with one seed.

    Args:
        cell: its name.
        seed: of the experiment.
        track: of the cell.
        digest: of the params that it ran with; see `digest`.
        revision: the commit that it started from.
        metrics: domain → metric → mean over the queries; empty where it failed.
        seconds: of training; None where it failed.
        fault: why it failed, or nothing.
    """

    cell: str
    seed: int
    track: str
    digest: str
    revision: str
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float | None = None
    fault: str = ""


@dataclass(frozen=True)
class Queries:
    """Average precision of each query of a test split.

    Args:
        split: stands for the queries and their labels; only values of the same split can be paired.
        values: the student's, in the split's order, shape (queries,).
        teacher: its teacher's, likewise.
    """

    split: str
    values: Values
    teacher: Values


def current(grid: Grid, results: Sequence[Result], digests: Mapping[str, str]) -> dict[tuple[str, int], Result]:
    """(cell, seed) → its result, failed ones included, where it is of the cell as it stands in the grid."""
    return {
        (result.cell, result.seed): result
        for result in results
        if result.cell in grid.cells and result.seed in grid.seeds and result.digest == digests[result.cell]
    }


def put_result(results: Sequence[Result], new: Result) -> list[Result]:
    """The results with a new one: in the place of that of the same cell and seed, or at the end."""
    same = [(result.cell, result.seed) == (new.cell, new.seed) for result in results]
    kept = [new if is_same else result for result, is_same in zip(results, same, strict=True)]
    return kept if any(same) else [*kept, new]


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Write results as CSV, a row a cell and seed."""
    with atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for result in results:
            figures = {f"{domain}.{name}": result.metrics.get(domain, {}).get(name) for domain, name in FIGURES}
            row = {name: getattr(result, name) for name in ("cell", "track", "seed", "digest", "revision", "fault")}
            writer.writerow({**row, **figures, "training_seconds": result.seconds})


def read_results(path: Path) -> list[Result]:
    """Read what `write_results` wrote; nothing where there is no file yet.

    Raises:
        DecantError: the file is no such file.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise DecantError(f"{path}: its columns are not {', '.join(COLUMNS)}", f"`git checkout -- {path}`")
        try:
            return [_result(row) for row in reader]
        except (TypeError, ValueError) as error:
            raise DecantError(f"{path}, line {reader.line_num}: {error}", f"`git checkout -- {path}`") from error


def _result(row: Mapping[str, str]) -> Result:
    metrics: dict[str, dict[str, float]] = {}
    for domain, name in FIGURES:
        if row[f"{domain}.{name}"]:
            metrics.setdefault(domain, {})[name] = float(row[f"{domain}.{name}"])
    return Result(
        cell=row["cell"],
        track=row["track"],
        seed=int(row["seed"]),
        digest=row["digest"],
        revision=row["revision"],
        metrics=metrics,
        seconds=float(row["training_seconds"]) if row["training_seconds"] else None,
        fault=row["fault"],
    )


def write_queries(path: Path, queries: Mapping[str, Queries]) -> None:
    """Write the values of each domain's queries, a row a query."""
    domains = [domain for domain, of_domain in queries.items() for _ in of_domain.values]
    values = np.concatenate([of_domain.values for of_domain in queries.values()])
    teacher = np.concatenate([of_domain.teacher for of_domain in queries.values()])
    table = pa.table({"domain": domains, "map": values, "teacher": teacher})
    splits = {domain: of_domain.split for domain, of_domain in queries.items()}
    with atomic_file(path) as partial:
        pq.write_table(table.replace_schema_metadata(splits), partial, compression="zstd")


def read_queries(path: Path) -> dict[str, Queries]:
    """Read what `write_queries` wrote, by domain.

    Raises:
        DecantError: the file is missing.
    """
    if not path.exists():
        raise DecantError(
            f"{path}: there is no such file", f"`git checkout -- {path}`, or remove its row from the results, to run it"
        )
    table = pq.read_table(path)
    domains = table["domain"].to_numpy(zero_copy_only=False)
    values, teacher = table["map"].to_numpy(), table["teacher"].to_numpy()
    splits = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    return {
        domain: Queries(splits[domain], values[domains == domain], teacher[domains == domain])
        for domain in dict.fromkeys(domains.tolist())
    }


def split_digest(queries: Sequence[str], labels: Sequence[Sequence[int]]) -> str:
    """What stands for a test split: its queries and labels in their order."""
    return hashlib.sha256(json.dumps([list(queries), [list(row) for row in labels]]).encode()).hexdigest()[:16]
