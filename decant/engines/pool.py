"""One engine of a teacher in this process, or several, in a process and on a share of the GPUs each."""

import functools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from decant.engines import Forward, Scores, TeacherSpec, load_forward
from decant.errors import DecantError
from decant.processes import end_with
from decant.prompts import Prompt

AHEAD = 2  # shards handed to an engine at once


def visible_gpus() -> list[str]:
    """The names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    import torch

    count = torch.cuda.device_count()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = listed.split(",") if listed else map(str, range(count))
    return [name.strip() for name in names][:count]


def count_engines(spec: TeacherSpec) -> int:
    """How many engines to start: as many as asked for; else one for each GPU, or each `tensor_parallel` of them.

    Raises:
        DecantError: there are not enough GPUs.
    """
    if spec.engine == "server":
        return 1
    gpus = len(visible_gpus())
    # On GPUs a vLLM takes all of the memory, so that no two can share one.
    alone = spec.tensor_parallel > 1 or (spec.engine == "vllm" and gpus > 0)
    if alone and gpus < spec.tensor_parallel * (spec.engines or 1):
        raise DecantError(
            f"teacher: {spec.engines or 1} engines on {spec.tensor_parallel} GPUs each, and {gpus} GPUs are visible",
            "lower `engines` or `tensor_parallel`",
        )
    return spec.engines or max(1, gpus // spec.tensor_parallel)


def start(spec: TeacherSpec) -> "InProcess | Pool":
    """Load a teacher's engine, or start as many as `count_engines` says."""
    count = count_engines(spec)
    return InProcess(load_forward(spec)) if count == 1 else Pool(spec, count)


class InProcess:
    """One engine, in this process."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward

    def map(self, shards: Iterable[Sequence[Prompt]]) -> Iterator[Scores]:
        """The engine's results, in the shards' order."""
        return map(self._forward, shards)

    def close(self, kill: bool) -> None:
        """Nothing is to be ended."""


class Pool:
    """Engines in processes of their own. Shard i goes to engine i modulo `count`: the assignment is deterministic.

    Args:
        spec: of the teacher.
        count: engines; engine i has the i-th share of the visible GPUs, and where there are fewer GPUs than
            engines, engines share them.
    """

    def __init__(self, spec: TeacherSpec, count: int) -> None:
        self._spec = spec
        gpus = visible_gpus()
        each = spec.tensor_parallel
        self._executors = []
        for number in range(count):
            share = [gpus[(number * each + index) % len(gpus)] for index in range(each)] if gpus else []
            self._executors.append(
                ProcessPoolExecutor(
                    max_workers=1,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_start,
                    initargs=(",".join(share),),
                )
            )

    def map(self, shards: Iterable[Sequence[Prompt]]) -> Iterator[Scores]:
        """The engines' results, in the shards' order; each engine has one shard at hand while it works on another.

        Raises:
            DecantError: an engine's process died.
        """
        waiting: deque[tuple[int, Future[Scores]]] = deque()
        number = 0
        try:
            for number, shard in enumerate(shards):
                executor = self._executors[number % len(self._executors)]
                waiting.append((number, executor.submit(_run, self._spec, shard)))
                if len(waiting) == AHEAD * len(self._executors):
                    number, future = waiting.popleft()
                    yield future.result()
            while waiting:
                number, future = waiting.popleft()
                yield future.result()
        except BrokenProcessPool as error:
            raise DecantError(
                f"the process of engine {number % len(self._executors)} died at shard {number}",
                "look above for its last words; if memory was short, lower `engines` or `batch_size`",
            ) from error

    def close(self, kill: bool) -> None:
        """End the processes: at once, or when they have done what they are at."""
        if kill:
            for process in multiprocessing.active_children():
                process.terminate()
        for executor in self._executors:
            executor.shutdown(cancel_futures=True)


def _start(gpus: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent ends its engines
    end_with(os.getppid())
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus


@functools.cache
def _engine(spec: TeacherSpec) -> Forward:
    return load_forward(spec)


def _run(spec: TeacherSpec, shard: Sequence[Prompt]) -> Scores:
    return _engine(spec)(shard)
