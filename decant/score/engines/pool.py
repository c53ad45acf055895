"""One engine of a teacher in this process, or several, in a process and on a share of the GPUs each."""

import functools
import itertools
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Protocol

from decant.errors import DecantError
from decant.processes import end_with
from decant.score.engines import ENGINES
from decant.score.engines.base import Forward, load_forward
from decant.score.engines.robust import AHEAD, Outcome, forward_shard, plain_prompts, run_shard
from decant.score.prompts import Prompt
from decant.score.settings import Teacher


def visible_gpus() -> list[str]:
    """The names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    import torch

    count = torch.cuda.device_count()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = listed.split(",") if listed else map(str, range(count))
    return [name.strip() for name in names][:count]


def count_engines(teacher: Teacher) -> int:
    """How many engines to start: as many as asked for; else one for each GPU, or each `tensor_parallel` of them.

    Raises:
        DecantError: there are not enough GPUs.
    """
    if teacher.engine_pool == "ray":
        from decant.score.engines import ray_pool

        return ray_pool.count_engines(teacher)
    if ENGINES[teacher.engine].apis:  # behind HTTP
        return 1
    gpus = len(visible_gpus())
    count, each = teacher.engines or 1, teacher.tensor_parallel
    # On GPUs a vLLM takes all of the memory, so that no two can share one.
    if (each > 1 or (teacher.engine == "vllm" and gpus > 0)) and gpus < count * each:
        raise DecantError(
            f"teacher: {count} engines on {each} GPUs each, and {gpus} GPUs are visible",
            "lower `engines` or `tensor_parallel`",
        )
    return teacher.engines or max(1, gpus // each)


class Engines(Protocol):
    """One engine or several."""

    def map(self, shards: Iterable[tuple[int, Sequence[Prompt]]]) -> Iterator[tuple[int, Outcome]]:
        """Run numbered shards; each outcome comes with its shard's number as soon as it is there, in any order.

        Raises:
            DecantError: an engine cannot be loaded, or died.
        """

    def close(self, kill: bool) -> None:
        """End what was started: at once, or when it has done what it is at."""


def start(teacher: Teacher, folder: Path) -> Engines:
    """Load a teacher's engine, or start as many as `count_engines` says."""
    if teacher.engine_pool == "ray":
        from decant.score.engines.ray_pool import RayPool

        return RayPool(teacher, folder)
    count = count_engines(teacher)
    return InProcess(teacher, folder) if count == 1 else Pool(teacher, folder, count)


class InProcess:
    """One engine, in this process."""

    def __init__(self, teacher: Teacher, folder: Path) -> None:
        self._forward: Forward = load_forward(teacher, folder)
        self._plain = functools.partial(plain_prompts, teacher, folder)

    def map(self, shards: Iterable[tuple[int, Sequence[Prompt]]]) -> Iterator[tuple[int, Outcome]]:
        """See `Engines.map`."""
        return ((number, forward_shard(self._forward, shard, self._plain)) for number, shard in shards)

    def close(self, kill: bool) -> None:
        """Nothing is to be ended."""


class Pool:
    """Engines in processes of their own. Each has one shard at hand while it works on another.

    Engine i has the i-th share of the visible GPUs; where there are fewer GPUs than engines, engines share them.
    """

    def __init__(self, teacher: Teacher, folder: Path, count: int) -> None:
        self._teacher, self._folder = teacher, folder
        gpus = itertools.cycle(visible_gpus())
        shares = [",".join(itertools.islice(gpus, teacher.tensor_parallel)) for _ in range(count)]
        context = multiprocessing.get_context("spawn")
        self._executors = [
            ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=_start, initargs=(share,))
            for share in shares
        ]

    def map(self, shards: Iterable[tuple[int, Sequence[Prompt]]]) -> Iterator[tuple[int, Outcome]]:
        """See `Engines.map`."""
        free = list(range(len(self._executors))) * AHEAD
        running: dict[Future[Outcome], tuple[int, int]] = {}  # → shard, engine
        source = iter(shards)
        more = True
        while more or running:
            while more and free:
                if more := (shard := next(source, None)) is not None:
                    engine = free.pop(0)
                    future = self._executors[engine].submit(run_shard, self._teacher, self._folder, shard[1])
                    running[future] = (shard[0], engine)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number, engine = running.pop(future)
                free.append(engine)
                try:
                    yield number, future.result()
                except BrokenProcessPool as error:
                    raise DecantError(
                        f"the process of engine {engine} died at shard {number}",
                        "look above for its last words; if memory was short, lower `engines` or `batch_tokens`; run "
                        "again, and the shards that were done are kept",
                    ) from error

    def close(self, kill: bool) -> None:
        """End the processes: at once, or when they have done what they are at."""
        for executor in self._executors:
            for process in list((executor._processes or {}).values()) if kill else ():
                process.terminate()
        for executor in self._executors:
            executor.shutdown(cancel_futures=True)


def _start(gpus: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent ends its engines
    end_with(os.getppid())
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
