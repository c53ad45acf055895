"""Run the grid of ablations as queued DVC experiments, and collect what comes out as it comes.

`python -m stages.ablate` runs what ablations/grid.yaml has and ablations/results.csv has not, in DVC's queue, and
writes the tables of docs/ablations.md. Killed at any point, the same command goes on. A cell that fails is recorded,
and tried anew the next time.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from decant.ablation import Grid, digest, read_grid
from decant.ablation_results import (
    Queries,
    Result,
    current,
    put_result,
    read_queries,
    read_results,
    split_digest,
    write_queries,
    write_results,
)
from decant.ablation_table import between_marks, render
from decant.comparison import TestSettings
from decant.errors import DecantError
from decant.files import atomic_file
from decant.params import parse_params
from decant.progress import progress
from stages import cli
from stages.experiments import Experiment, ExperimentQueue
from stages.revisions import Revision

GRID = Path("ablations/grid.yaml")
RESULTS = Path("ablations/results.csv")
QUERIES = Path("ablations/queries")
PAGE = Path("docs/ablations.md")
POLL = 2.0  # seconds from one look at the queue to the next
TEND = 30.0  # seconds from one look at the queue's worker to the next


class Job(NamedTuple):
    """One cell with one seed; `str` of it is the name of its experiment."""

    cell: str
    seed: int

    def __str__(self) -> str:
        return f"{self.cell}-{self.seed}"


def main(only: Sequence[str]) -> None:
    """Run what has no result, then write the tables.

    Raises:
        DecantError: the grid is not sound, or an experiment failed.
    """
    grid, digests = _grid()
    if unknown := [name for name in only if name not in grid.cells]:
        raise DecantError(f"--only {', '.join(unknown)}: no such cell", f"{GRID} has {', '.join(grid.cells)}")
    jobs, failed = _missing(grid, digests, only), []
    if jobs:
        queue = ExperimentQueue()
        try:
            _fill(queue, grid, digests, jobs)
            failed = _collect(queue, grid, digests, jobs)
        except cli.Interrupted:
            print("\nstopping the experiment under way; the same command goes on with it", flush=True)
            queue.stop()
            raise
    show()
    if failed:
        raise DecantError(
            f"{len(failed)} of {len(jobs)} experiments failed: {', '.join(map(str, failed))}",
            f"{RESULTS} says why; the same command tries them anew",
        )


def _missing(grid: Grid, digests: Mapping[str, str], only: Sequence[str]) -> list[Job]:
    """What is to be run: all seeds of one cell after the other."""
    done = {key for key, result in current(grid, read_results(RESULTS), digests).items() if not result.fault}
    jobs = [Job(cell, seed) for cell in (only or grid.cells) for seed in grid.seeds]
    return [job for job in jobs if job not in done]


def _fill(queue: ExperimentQueue, grid: Grid, digests: Mapping[str, str], jobs: Sequence[Job]) -> None:
    """Queue the jobs that an earlier run of this command has not left in the queue, under way or done."""
    wanted = {str(job): job for job in jobs}
    queue.tend()
    stale = [one for one in queue.entries() if one.name in wanted and not _is_of(one, grid, digests, wanted[one.name])]
    if any(experiment.state == "running" for experiment in stale):
        queue.stop()
    queue.remove([experiment.name for experiment in stale])
    queued = {experiment.name for experiment in queue.entries()}
    new = [job for job in jobs if str(job) not in queued]
    print(f"{len(jobs)} experiments to run, {len(jobs) - len(new)} of them in the queue already", flush=True)
    for job in new:
        track = grid.cells[job.cell].track
        queue.put(str(job), grid.overrides(*job), [f"train@{track}", f"evaluate_after@{track}"])


def _is_of(experiment: Experiment, grid: Grid, digests: Mapping[str, str], job: Job) -> bool:
    """Whether an experiment is of the cell as it stands in the grid, and worth waiting for."""
    if experiment.state == "failed":
        return False
    try:
        ran = parse_params(experiment.read(str(cli.PARAMS)), experiment.name)
    except DecantError:  # of another version of the schema
        return False
    return ran.seed == job.seed and digest(ran, grid.cells[job.cell].track) == digests[job.cell]


def _collect(queue: ExperimentQueue, grid: Grid, digests: Mapping[str, str], jobs: Sequence[Job]) -> list[Job]:
    """Record every job's result when it ends; return those that failed."""
    pending, failed = {str(job): job for job in jobs}, []
    tended = -TEND
    with progress(len(jobs), "experiments") as bar:
        while pending:
            entries = {experiment.name: experiment for experiment in queue.entries() if experiment.name in pending}
            ended = [experiment for experiment in entries.values() if experiment.state in ("done", "failed")]
            for experiment in ended:
                job = pending.pop(experiment.name)
                result = _record(experiment, job, grid.cells[job.cell].track, digests[job.cell])
                if result.fault:
                    failed.append(job)
                queue.remove([experiment.name])
                bar.write(f"{job}: {_told(result)}", file=sys.stdout)
                bar.update()
            for name in [name for name in pending if name not in entries]:
                failed.append(pending.pop(name))
                bar.write(f"{name}: somebody took it off the queue", file=sys.stdout)
            if time.monotonic() - tended > TEND:
                queue.tend()
                tended = time.monotonic()
            time.sleep(POLL if pending else 0)
    return failed


def _record(experiment: Experiment, job: Job, track: str, digest_: str) -> Result:
    """Write the values of an experiment's queries, then its result."""
    result = Result(*job, track=track, digest=digest_, revision=experiment.baseline[:10])
    try:
        if experiment.state == "failed":
            raise DecantError(experiment.fault(), "")
        runs = Revision(experiment.revision).runs(track, "after")
        queries = {
            domain: Queries(split_digest(run.queries, run.labels), run.metrics["map"]) for domain, run in runs.items()
        }
        write_queries(QUERIES / f"{job}.parquet", queries)
        result = replace(
            result,
            metrics={
                domain: {name: round(float(values.mean()), 6) for name, values in run.metrics.items()}
                for domain, run in runs.items()
            },
            seconds=json.loads(experiment.read(str(cli.COST / track / "train.json")))["seconds"],
        )
    except DecantError as error:
        result = replace(result, fault=error.problem)
    write_results(RESULTS, put_result(read_results(RESULTS), result))
    return result


def _told(result: Result) -> str:
    if result.fault:
        return f"failed: {result.fault}"
    means = [f"{domain.replace('_', '-')} MAP {metrics['map']:.4f}" for domain, metrics in result.metrics.items()]
    return ", ".join([*means, f"trained in {result.seconds:.0f} s"])


def show() -> None:
    """Write the tables of what there is into docs/ablations.md."""
    grid, digests = _grid()
    params = cli.params()
    settings = TestSettings(**params.report.model_dump(), seed=params.seed)
    tables = render(
        grid,
        read_results(RESULTS),
        digests,
        lambda result: read_queries(QUERIES / f"{result.cell}-{result.seed}.parquet"),
        settings,
    )
    page = between_marks(PAGE.read_text(encoding="utf-8"), tables, str(PAGE))
    with atomic_file(PAGE) as partial:
        partial.write_text(page, encoding="utf-8")


def list_all() -> None:
    """Print what is done and what is not."""
    grid, digests = _grid()
    results = read_results(RESULTS)
    found = current(grid, results, digests)
    earlier = {(result.cell, result.seed) for result in results}
    for cell in grid.cells:
        for seed in grid.seeds:
            state = "changed since it was run" if (cell, seed) in earlier else "not run"
            print(f"{Job(cell, seed)}: {_told(found[cell, seed]) if (cell, seed) in found else state}")


def _grid() -> tuple[Grid, dict[str, str]]:
    cli.params()  # its faults are told better than those of a changed one
    return read_grid(GRID, YAML(typ="safe", pure=True).load(cli.PARAMS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="run these cells alone, their names joined by commas")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show what is done, and run nothing")
    what.add_argument("--render", action="store_true", help="write the tables anew, and run nothing")
    arguments = parser.parse_args()
    only = arguments.only.split(",") if arguments.only else ()
    steps = {"list": list_all, "render": show}
    chosen = next((steps[name] for name in steps if getattr(arguments, name)), lambda: main(only))
    cli.run("ablate --grid", chosen)
