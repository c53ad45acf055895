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

TEXTS = ("cell", "track", "digest", "revision", "fault")


@dataclass(frozen=True)
class Result:
    """What came out of one cell with one seed; no `metrics` and no `seconds` where it failed."""

    cell: str
    seed: int
    track: str
    digest: str  # of the params that it ran with; see `grids.digest`
    revision: str  # the commit that it started from
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # domain → metric → mean over queries
    seconds: float | None = None  # of training
    fault: str = ""  # why it failed, or nothing


@dataclass(frozen=True)
class Queries:
    """Average precision of each query of a test split, in its order: the student's and its teacher's.

    `split` stands for the queries and their labels: only values of the same split can be paired. Both arrays have the
    shape (queries,).
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
    return list({(result.cell, result.seed): result for result in [*results, new]}.values())


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Write results as CSV, a row a cell and seed."""
    figures = {f"{domain}.{metric}": (domain, metric) for domain in DOMAINS for metric in METRICS}
    columns = ["cell", "track", "seed", *figures, "training_seconds", "digest", "revision", "fault"]
    with atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for result in results:
            means = {name: result.metrics.get(domain, {}).get(metric) for name, (domain, metric) in figures.items()}
            texts = {name: getattr(result, name) for name in TEXTS}
            writer.writerow({**texts, **means, "seed": result.seed, "training_seconds": result.seconds})


def read_results(path: Path) -> list[Result]:
    """Read what `write_results` wrote, with whichever metrics there were; nothing where there is no file yet.

    Raises:
        DecantError: the file is no such file.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if lacking := {"seed", "training_seconds", *TEXTS} - set(reader.fieldnames or ()):
            raise DecantError(f"{path}: it has no column {', '.join(sorted(lacking))}", f"`git checkout -- {path}`")
        try:
            return [_result(row) for row in reader]
        except (AttributeError, TypeError, ValueError) as error:
            raise DecantError(f"{path}, line {reader.line_num}: {error}", f"`git checkout -- {path}`") from error


def _result(row: Mapping[str, str]) -> Result:
    metrics: dict[str, dict[str, float]] = {}
    for column, value in row.items():
        domain, dot, name = column.partition(".")
        if dot and value:
            metrics.setdefault(domain, {})[name] = float(value)
    seconds = float(row["training_seconds"]) if row["training_seconds"] else None
    return Result(**{name: row[name] for name in TEXTS}, seed=int(row["seed"]), metrics=metrics, seconds=seconds)


def write_queries(path: Path, queries: Mapping[str, Queries]) -> None:
    """Write the values of each domain's queries, a row a query."""
    domains = [domain for domain, of_domain in queries.items() for _ in of_domain.values]
    values, teacher = (
        np.concatenate([getattr(of_domain, name) for of_domain in queries.values()]) for name in ("values", "teacher")
    )
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
    domains, values, teacher = (table[name].to_numpy() for name in ("domain", "map", "teacher"))
    return {
        domain: Queries(
            table.schema.metadata[domain.encode()].decode(), values[domains == domain], teacher[domains == domain]
        )
        for domain in dict.fromkeys(domains.tolist())
    }


def split_digest(queries: Sequence[str], labels: Sequence[Sequence[int]]) -> str:
    """What stands for a test split: its queries and labels in their order."""
    return hashlib.sha256(json.dumps([list(queries), [list(row) for row in labels]]).encode()).hexdigest()[:16]
