"""Run a grid of ablations as queued DVC experiments, and collect what comes out as it comes."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from decant import paths
from decant.errors import DecantError
from decant.experiments.grids import Grid, digest, read_grid
from decant.experiments.queue import Experiment, ExperimentQueue
from decant.experiments.results import (
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
from decant.experiments.revisions import Revision
from decant.experiments.tables import between_marks, render, tabulate
from decant.files import atomic_file, read_json, write_json
from decant.params import load_params, parse_params, read_yaml
from decant.preloaded import LIBRARIES, STAGES, preloaded_python
from decant.processes import Interrupted
from decant.progress import progress

FOLDER = Path("ablations")
PAGE = Path("docs/ablations.md")
TABLES = "ablations.json"  # in plots/<track>/, for the report
POLL = 5.0  # seconds from one look at the queue to the next
TEND = 30.0  # seconds from one look at the queue's worker to the next


class Job(NamedTuple):
    """One cell with one seed."""

    cell: str
    seed: int

    def __str__(self) -> str:
        return f"{self.cell}-{self.seed}"


class Ablations:
    """A grid, its results and its tables; `jobs` experiments run at a time, `tell` takes each line of progress.

    The grid's name is that of its YAML file, of its results' CSV file beside it, and of its marks on the page.

    Raises:
        DecantError: the grid is not sound.
    """

    models: Sequence[str] = ("after",)  # of each experiment, whose results are kept

    def __init__(self, name: str, jobs: int, tell: Callable[[str], None]) -> None:
        self.name, self.jobs, self.tell = name, jobs, tell
        self.results = FOLDER / f"{name}.csv"
        self.params = load_params(paths.PARAMS)  # its faults are told better than those of a changed one
        self.grid, self.digests = self.make_grid(read_yaml(paths.PARAMS.read_text(encoding="utf-8"), str(paths.PARAMS)))

    def make_grid(self, content: Mapping[str, Any]) -> tuple[Grid, dict[str, str]]:
        """The grid, and the digest of each cell's params, from the content of params.yaml."""
        return read_grid(FOLDER / f"{self.name}.yaml", content)

    def run(self, only: Sequence[str]) -> None:
        """Run what has no result, then write the tables.

        Raises:
            DecantError: a cell is unknown, or an experiment failed.
        """
        if unknown := [name for name in only if name not in self.grid.cells]:
            has = f"{FOLDER / self.name}.yaml has {', '.join(self.grid.cells)}"
            raise DecantError(f"--only {', '.join(unknown)}: no such cell", has)
        results, failed = read_results(self.results), list[Job]()
        missing = [job for job in self._all_seeds(only or self.grid.cells) if not self._is_done(job, results)]
        if missing:
            # DVC starts the stages' interpreter by name. A worker that outlives this command goes on without the forks.
            with preloaded_python(STAGES, LIBRARIES) as os.environ["PATH"]:
                failed = self._run(missing)
        self.show()
        if failed:
            raise DecantError(
                f"{len(failed)} of {len(missing)} experiments failed: {', '.join(map(str, failed))}",
                f"{self.results} says why; the same command tries them anew",
            )

    def _run(self, missing: Sequence[Job]) -> list[Job]:
        """Run jobs; those that failed."""
        queue = ExperimentQueue(self.jobs)
        try:
            self._fill(queue, missing)
            return self._collect(queue, missing)
        except Interrupted:
            self.tell("\nstopping the experiment under way; the same command goes on with it")
            queue.stop()
            raise

    def show(self) -> None:
        """Write the tables of what there is into docs/ablations.md, and for the report into plots/<track>/."""

        def read(result: Result) -> Mapping[str, Queries]:
            return read_queries(self.queries(Job(result.cell, result.seed)))

        results, settings = read_results(self.results), self.params.report
        tables = tabulate(self.grid, results, self.digests, read, settings, self.params.seed)
        page = between_marks(PAGE.read_text(encoding="utf-8"), render(tables), self.name, str(PAGE))
        with atomic_file(PAGE) as partial:
            partial.write_text(page, encoding="utf-8")
        for track, of_track in tables.items():
            path = paths.PLOTS / track / TABLES
            written = read_json(path) if path.is_file() else {}
            write_json(path, {**written, self.name: of_track._asdict()})

    def list_all(self) -> None:
        """Tell what is done and what is not."""
        results = read_results(self.results)
        done = current(self.grid, results, self.digests)
        earlier = {(result.cell, result.seed) for result in results}
        for job in self._all_seeds(self.grid.cells):
            state = "changed since it was run" if job in earlier else "not run"
            self.tell(f"{job}: {_outcome(done[job]) if job in done else state}")

    def queries(self, job: Job) -> Path:
        """Where the values of a job's queries are kept."""
        return FOLDER / "queries" / self.name / f"{job}.parquet"

    def _is_done(self, job: Job, results: Sequence[Result]) -> bool:
        """Whether there is a result of each model, of the cell as it stands in the grid."""
        of_job = [result for result in results if result.seed == job.seed and not result.fault]
        done = {result.cell for result in of_job if result.digest == self.digests[job.cell]}
        return {self.named(job.cell, model) for model in self.models} <= done

    def named(self, cell: str, model: str) -> str:
        """The name of a model's results of a cell."""
        return cell if model == self.models[0] else f"{cell}-{model.replace('_', '-')}"

    def _all_seeds(self, cells: Iterable[str]) -> list[Job]:
        """All seeds of one cell after the other."""
        return [Job(cell, seed) for cell in cells for seed in self.grid.seeds]

    def _experiment(self, job: Job) -> str:
        return f"{self.name}-{job}"

    def _fill(self, queue: ExperimentQueue, jobs: Sequence[Job]) -> None:
        """Queue the jobs that an earlier run of this command has not left in the queue, under way or done."""
        wanted = {self._experiment(job): job for job in jobs}
        queue.tend()
        if any(experiment.state == "running" for experiment in self._stale(queue, wanted)):
            queue.stop()  # and with it what else is under way, which has failed then, and is queued anew
        queue.remove([experiment.name for experiment in self._stale(queue, wanted)])
        queued = {experiment.name for experiment in queue.entries()}
        new = [job for name, job in wanted.items() if name not in queued]
        self.tell(f"{len(jobs)} experiments to run, {len(jobs) - len(new)} of them in the queue already")
        for number, job in enumerate(new, 1):
            self._put(queue, job)
            if number == self.jobs:  # it takes DVC seconds to queue one: the workers need not wait for the last
                queue.tend()

    def _put(self, queue: ExperimentQueue, job: Job) -> None:
        track = self.grid.cells[job.cell].track
        stages = [f"train@{track}", *(f"evaluate_{model}@{track}" for model in (*self.models, "teacher"))]
        queue.put(self._experiment(job), self.grid.overrides(*job), stages)

    def _stale(self, queue: ExperimentQueue, wanted: Mapping[str, Job]) -> list[Experiment]:
        return [
            experiment
            for experiment in queue.entries()
            if experiment.name in wanted and not self._is_current(experiment, wanted[experiment.name])
        ]

    def _is_current(self, experiment: Experiment, job: Job) -> bool:
        """Whether an experiment is of the cell as it stands in the grid, and worth waiting for."""
        if experiment.state == "failed":
            return False
        try:
            ran = parse_params(experiment.read(str(paths.PARAMS)), experiment.name)
        except DecantError:  # of another version of the schema
            return False
        if any(ran.baselines.is_off(model) for model in self.models):
            return False
        return ran.seed == job.seed and digest(ran, self.grid.cells[job.cell].track) == self.digests[job.cell]

    def _collect(self, queue: ExperimentQueue, jobs: Sequence[Job]) -> list[Job]:
        """Record every job's result when it ends; return those that failed."""
        pending, failed = {self._experiment(job): job for job in jobs}, []
        again: set[str] = set()
        tended = -TEND
        with progress(len(jobs), "experiments") as bar:
            while pending:
                entries = {experiment.name: experiment for experiment in queue.entries() if experiment.name in pending}
                for name, experiment in entries.items():
                    if experiment.state not in ("done", "failed"):
                        continue
                    if experiment.state == "failed" and not experiment.started and name not in again:
                        again.add(name)  # lost by a worker that ended as it took it
                        queue.remove([name])
                        self._put(queue, pending[name])
                        continue
                    job = pending.pop(name)
                    result = self._record(experiment, job)
                    queue.remove([name])
                    if result.fault:
                        failed.append(job)
                    bar.clear()  # the line stands alone
                    self.tell(f"{job}: {_outcome(result)}")
                    bar.update()
                for name in [name for name in pending if name not in entries]:
                    failed.append(pending.pop(name))
                    self.tell(f"{name}: somebody took it off the queue")
                if time.monotonic() - tended > TEND:
                    queue.tend()
                    tended = time.monotonic()
                time.sleep(POLL if pending else 0)
        return failed

    def _record(self, experiment: Experiment, job: Job) -> Result:
        """Write the values of an experiment's queries, then the result of each model; return that of `models[0]`."""
        return [self._record_model(experiment, job, model) for model in reversed(self.models)][-1]

    def _record_model(self, experiment: Experiment, job: Job, model: str) -> Result:
        track = self.grid.cells[job.cell].track
        revision = experiment.baseline[:10]
        named = Job(self.named(job.cell, model), job.seed)
        result = Result(*named, track=track, digest=self.digests[job.cell], revision=revision)
        try:
            if experiment.state == "failed":
                raise DecantError(experiment.fault(), "")
            ran = Revision(experiment.revision)
            runs, teachers = ran.runs(track, model), ran.runs(track, "teacher")
            queries, metrics = {}, {}
            for domain, run in runs.items():
                split, teacher = split_digest(run.queries, run.labels), teachers[domain].metrics["map"]
                queries[domain] = Queries(split, run.metrics["map"], teacher)
                metrics[domain] = {name: round(float(values.mean()), 6) for name, values in run.metrics.items()}
            write_queries(self.queries(named), queries)
            result = replace(result, metrics=metrics, seconds=ran.training_seconds(track))
        except DecantError as error:
            result = replace(result, fault=error.problem)
        write_results(self.results, put_result(read_results(self.results), result))
        return result


def _outcome(result: Result) -> str:
    if result.fault:
        return f"failed: {result.fault}"
    means = [f"{domain.replace('_', '-')} MAP {metrics['map']:.4f}" for domain, metrics in result.metrics.items()]
    return ", ".join([*means, f"trained in {result.seconds:.0f} s"])
