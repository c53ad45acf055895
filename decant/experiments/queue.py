"""DVC's queue of experiments, for commands that run many of them and go on after a kill.

`dvc queue start` gives the queue a worker of its own, which goes on when the command that started it is killed; what
the worker has done meanwhile is found in the queue. What a worker had under way when it was killed itself stays
"running" there for ever: `tend` gives that up.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from decant.errors import DecantError
from decant.files import read_json

State = Literal["queued", "running", "done", "failed"]
PATIENCE = 60.0  # seconds that an interrupted stage may take to end, or another process of DVC's to let go of the queue
# Starts workers by their numbers. `dvc queue start` asks by pings which are alive, and would start a busy one twice.
START = """
import sys
from dvc.repo import Repo
queue = Repo().experiments.celery_queue
for number in sys.argv[1:]:
    queue._spawn_worker(int(number))
"""
BUSY = "is busy, it is being blocked by"  # DVC's word for a lock that such a process holds


@dataclass(frozen=True)
class Experiment:
    """An entry of the queue."""

    name: str
    state: State
    revision: str  # a commit that holds its params; of a finished one, its results too
    baseline: str  # the commit that it started from
    log: Path  # what it has printed; there may be nothing yet

    def read(self, path: str) -> str:
        """A file of the experiment's that git holds."""
        return _run("git", "show", f"{self.revision}:./{path}")

    @property
    def started(self) -> bool:
        """Whether it came to run at all: DVC loses one that a worker takes off the queue at the moment it ends."""
        return self.log.exists()

    def fault(self) -> str:
        """Why it failed: the first line of what its stage said, or the last line of all."""
        log = self.log.read_text(errors="replace") if self.started else ""
        lines = [line for line in map(str.strip, log.splitlines()) if line]
        stage = next((line.split("'")[1] for line in reversed(lines) if "failed to reproduce '" in line), None)
        said = [line for line in lines if stage and line.startswith(f"{stage}: ")]
        return (said or lines or ["it ended without a word"])[-1]


class ExperimentQueue:
    """The queue of the project in the working folder, which runs `jobs` experiments at a time."""

    def __init__(self, jobs: int = 1) -> None:
        from dvc.repo import Repo  # slow to import

        if jobs > 1:  # each would take all cores
            os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
        self._jobs = jobs
        self._queue: Any = Repo().experiments.celery_queue

    def entries(self) -> list[Experiment]:
        """All experiments of the queue."""
        queue = self._queue
        experiments = [self._experiment(entry, "queued", entry.stash_rev) for entry in queue.iter_queued()]
        experiments += [self._experiment(entry, "running", entry.stash_rev) for entry in queue.iter_active()]
        for entry, result in queue.iter_done():
            commit = ""
            if result and result.exp_hash and result.ref_info:
                commit = _run("git", "rev-parse", "--verify", "--quiet", str(result.ref_info), check=False).strip()
            experiments.append(self._experiment(entry, "done" if commit else "failed", commit or entry.stash_rev))
        return experiments

    def put(self, name: str, overrides: Mapping[str, Any], targets: Sequence[str]) -> None:
        """Queue an experiment; an earlier one of that name and the same commit goes.

        Args:
            name: of the experiment.
            overrides: dotted path in params.yaml → value.
            targets: stages that it runs, and those before them.

        Raises:
            DecantError: DVC refuses.
        """
        head = _run("git", "rev-parse", "HEAD").strip()
        if _run("git", "for-each-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}"):
            _dvc("exp", "remove", name)
        # `++` sets a key, or adds one that params.yaml leaves to its default.
        sets = [part for key, value in overrides.items() for part in ("-S", f"++{key}={as_override(value)}")]
        _dvc("exp", "run", "--queue", "--name", name, *sets, *targets)

    def tend(self) -> None:
        """Give the queue the workers that it lacks; what the last one left under way is given up, and has failed.

        A worker ends early where it reads a message of the queue that another process is still writing.
        """
        states, workers = {experiment.state for experiment in self.entries()}, self._workers()
        if states & {"queued", "running"} and not workers:
            for _ in range(2):  # the first kill ends a process that outlived its worker, the second one records that
                if left := self._running():
                    _dvc("queue", "kill", "--force", *left, check=False)
        if "queued" in states and (missing := set(range(1, self._jobs + 1)) - workers):
            _run(sys.executable, "-c", START, *map(str, missing))

    def remove(self, names: Sequence[str]) -> None:
        """Take experiments that are queued or ended off the queue; their results stay, as `dvc exp list` shows."""
        left = list(names)
        for _ in range(2):  # of one that was taken and not run, DVC removes the commit first and the message after
            if left:
                self._queue.remove(left)
                left = [entry.name for entry in self.entries() if entry.name in names and entry.state != "running"]

    def stop(self) -> None:
        """End the worker, and what it has under way; what is queued stays queued.

        Raises:
            DecantError: an experiment goes on for more than `PATIENCE`.
        """
        if not self._workers():
            return
        _dvc("queue", "stop", check=False)
        last = time.monotonic() + PATIENCE
        while self._queue.worker_status() and time.monotonic() < last:  # until then it may take the next one
            pass
        if running := self._running():
            # Interrupts all of the worker's processes, the stage included; `--force` would leave the stage running.
            _dvc("queue", "kill", *running, check=False)
        last = time.monotonic() + PATIENCE
        while running := self._running():
            if time.monotonic() > last:
                raise DecantError(f"{', '.join(running)} cannot be stopped", "`dvc queue kill --force` ends it")
            time.sleep(0.5)

    def _running(self) -> list[str]:
        return [experiment.name for experiment in self.entries() if experiment.state == "running"]

    def _workers(self) -> set[int]:
        """The numbers of the workers that are alive, by their processes: a busy one leaves DVC's pings unanswered."""
        files = Path(self._queue.wdir).glob("dvc-exp-worker-*.json")
        return {int(path.stem.rpartition("-")[2]) for path in files if is_worker(read_json(path)["pid"])}

    def _experiment(self, entry: Any, state: State, revision: str) -> Experiment:
        log = Path(self._queue.pid_dir) / entry.stash_rev / f"{entry.stash_rev}.out"
        return Experiment(entry.name, state, revision, entry.baseline_rev, log)


def is_worker(pid: int) -> bool:
    """Whether there is such a process, and it is a queue's worker: the number may be another's by now."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and any("dvc-exp-" in part for part in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def _dvc(*arguments: str, check: bool = True) -> None:
    """Run `dvc`, again while a worker of the queue holds what it needs: DVC itself does not wait for that."""
    last = time.monotonic() + PATIENCE
    while True:
        try:
            _run(sys.executable, "-m", "dvc", *arguments, check=check)
            return
        except DecantError as error:
            if BUSY not in error.problem or time.monotonic() > last:
                raise
        time.sleep(0.5)


def as_override(value: Any) -> str:
    """A value as Hydra's grammar has it: keys stand bare, and a backslash escapes nothing but a quotation mark."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {as_override(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(as_override, value))}]"
    if isinstance(value, str):
        escaped = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + (found[2] and '\\"'), value)
        return f'"{escaped}"'
    return json.dumps(value)


def _run(*command: str, check: bool = True) -> str:
    """Run a command in a session of its own, so that Ctrl-C does not cut it off: DVC is not to be left half-way."""
    # To a file and not through a pipe, which the worker that DVC starts would hold open.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait()
        except BaseException:
            process.wait()
            raise
        output.seek(0)
        said = output.read()
    if check and code:
        shown = " ".join(command[2:] if command[0] == sys.executable else command)
        raise DecantError(f"`{shown}` ended with {code}: {said.strip()}", "mend what it names, and run this again")
    return said
