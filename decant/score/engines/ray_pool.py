"""Engines in Ray Data actors, on the machines of a Ray cluster or on this one: an optional extra.

Ray Data wants all of its input before it starts, and a teacher's prompts are built shard by shard. So what goes through
Ray Data is the numbers of shards, without end: a generator yields each when its shard is there, an actor takes the
number, fetches the shard and runs it. One such stream lasts as long as the pool, and its actors keep their engines.
"""

import asyncio
import itertools
import logging
import os
import pickle
import platform
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

import decant
from decant.errors import DecantError
from decant.score.engines.robust import AHEAD, Outcome, run_shard
from decant.score.prompts import Prompt
from decant.score.settings import Teacher

try:
    import ray
    import ray.data
except ImportError as error:
    raise DecantError("teacher.engine_pool is ray, and Ray is not installed", "`pip install '.[ray]'`") from error

TRIES = 4  # of a shard whose actors die: one that kills its engine shall not do so for ever
WATCH = 10.0  # seconds between looks for nodes that were lost
LOGS = "Ray's logs, /tmp/ray/session_latest/logs on each node"


def connect() -> None:
    """Join the cluster that RAY_ADDRESS names, whose nodes get this very code; else start one on this machine."""
    if ray.is_initialized():
        return
    if " " in sys.executable:
        raise DecantError(
            f"Ray starts no worker whose interpreter's path has a space: {sys.executable}",
            "make the environment in a folder without one, or set teacher.engine_pool to processes",
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    on_sigterm = signal.getsignal(signal.SIGTERM)  # Ray sets its own
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # scores on CPUs depend on it in their last digits
    if address := os.environ.get("RAY_ADDRESS"):
        ray.init(address, runtime_env={"py_modules": [decant], "env_vars": threads}, **quiet)
    else:
        ray.init("local", include_dashboard=False, runtime_env={"env_vars": threads}, **quiet)
    signal.signal(signal.SIGTERM, on_sigterm)


def count_engines(teacher: Teacher) -> int:
    """How many engines to start: as many as asked for; else one for each `tensor_parallel` GPUs of a node, or one.

    Raises:
        DecantError: the cluster has not enough GPUs, or without GPUs not enough CPUs.
    """
    connect()
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    kind, each = ("GPU", teacher.tensor_parallel) if any("GPU" in node for node in nodes) else ("CPU", 1)
    room = sum(int(node.get(kind, 0)) // each for node in nodes)
    count = teacher.engines or (room if kind == "GPU" else 1)
    if not 0 < count <= room:
        raise DecantError(
            f"teacher: {count or 1} engines on {each} {kind}s each, and the Ray cluster has room for {room}",
            "lower `engines` or `tensor_parallel`, or let more nodes join before",
        )
    return count


class RayPool:
    """Engines in the actors of one Ray Data stream; every node has the model's folder at the same path.

    See `decant.score.engines.pool.Engines`, and for what is raised `count_engines`.
    """

    def __init__(self, teacher: Teacher, folder: Path) -> None:
        self._count = count_engines(teacher)
        gpus = bool(ray.cluster_resources().get("GPU"))
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        self._feed = ray.remote(num_cpus=0, label_selector=here)(_Feed).remote()
        self._feed.watch.remote()
        self._fed = 0
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.execution_no_progress_timeout_s = -1  # a shard may take long, and between maps there is nothing to do
        context.max_consecutive_actor_init_deaths = TRIES
        context.target_max_block_size = 1  # a block a row: else numbers are gathered to blocks of 128 MiB first
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        numbers = ray.data.from_items([0]).map_batches(
            _numbers, batch_size=1, batch_format="pyarrow", fn_args=(self._feed,), num_cpus=0, label_selector=here
        )
        outcomes = numbers.map_batches(
            _Engine,
            batch_size=1,
            batch_format="pyarrow",
            fn_constructor_args=(teacher, folder.absolute(), self._feed),
            compute=ray.data.ActorPoolStrategy(size=self._count, max_tasks_in_flight_per_actor=AHEAD),
            num_cpus=1,
            num_gpus=teacher.tensor_parallel if gpus else 0,
        )
        self._results = iter(outcomes.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))

    def map(self, shards: Iterable[tuple[int, Sequence[Prompt]]]) -> Iterator[tuple[int, Outcome]]:
        """See `Engines.map`; at most `AHEAD` shards an engine, and their outcomes, are held at once."""
        running: dict[int, int] = {}  # number in the stream → the shard's own
        source = iter(shards)
        more = True
        while more or running:
            while more and len(running) < AHEAD * self._count:
                if more := (shard := next(source, None)) is not None:
                    running[self._fed] = shard[0]
                    self._feed.put.remote(self._fed, [ray.put(list(shard[1]))])
                    self._fed += 1
            if running:
                number, outcome = self._next()
                if number not in running:
                    continue  # of a map that was given up, or had twice as a node was lost
                if isinstance(outcome, DecantError):
                    raise outcome
                yield running.pop(number), outcome

    def _next(self) -> tuple[int, Outcome | DecantError]:
        try:
            table: Any = next(self._results)
        except ray.exceptions.UserCodeException:
            raise  # a fault in the engine's code, with its traceback
        except ray.exceptions.RayError as error:
            raise DecantError(
                f"Ray failed: {error}", f"look into {LOGS}; run again, and the shards that were done are kept"
            ) from error
        number, outcome = pickle.loads(table["result"][0].as_py())
        self._feed.drop.remote(number)
        return number, outcome

    def close(self, kill: bool) -> None:
        """Leave the cluster, which ends the actors at once; one that was started here ends with them."""
        del kill
        self._results.close()  # else Ray Data's threads go on, and would start another cluster
        ray.shutdown()


class _Feed:
    """An actor beside the driver that holds the shards under way, so that one whose actor dies can be had again."""

    def __init__(self) -> None:
        self._shards: dict[int, list[Any]] = {}  # number → the reference to its prompts, in a list
        self._takers: dict[int, list[str]] = {}  # number → the nodes whose actors took it, the last one last
        self._stream: list[int] = []
        self._grown = asyncio.Condition()

    async def put(self, number: int, shard: list[Any]) -> None:
        self._shards[number] = shard
        await self._append([number])

    async def at(self, place: int) -> int:
        """The number at a place of the stream; waits until there is one."""
        async with self._grown:
            await self._grown.wait_for(lambda: place < len(self._stream))
        return self._stream[place]

    async def take(self, number: int, node: str) -> tuple[list[Any], int]:
        """The reference to a shard's prompts, in a list, and how often it was taken; [] if its outcome has come."""
        if number not in self._shards:
            return [], 0
        takers = self._takers.setdefault(number, [])
        takers.append(node)
        return self._shards[number], len(takers)

    async def drop(self, number: int) -> None:
        self._shards.pop(number, None)
        self._takers.pop(number, None)

    async def watch(self) -> None:
        """For ever: put what a lost node had into the stream again; Ray Data would have it wait for another node."""
        done = seen = _lost_nodes()
        while True:
            await asyncio.sleep(WATCH)
            if seen - done:  # a turn after they were lost: until then Ray Data may give them more
                takers = {number: self._takers.get(number) for number in self._shards}
                await self._append([number for number, nodes in takers.items() if not nodes or nodes[-1] in seen])
            done, seen = seen, _lost_nodes()

    async def _append(self, numbers: list[int]) -> None:
        async with self._grown:
            self._stream += numbers
            self._grown.notify_all()


def _lost_nodes() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if not node["Alive"]}


def _numbers(_: pa.Table, feed: Any) -> Iterator[pa.Table]:
    """The stream: each shard's number as soon as the shard is there. Begun anew, it is the same."""
    for place in itertools.count():
        yield pa.table({"number": [ray.get(feed.at.remote(place))]})


class _Engine:
    """What Ray Data makes an actor of."""

    def __init__(self, teacher: Teacher, folder: Path, feed: Any) -> None:
        self._teacher, self._folder, self._feed = teacher, folder, feed

    def __call__(self, batch: pa.Table) -> pa.Table:
        [number] = batch["number"].to_pylist()
        return pa.table({"result": [pickle.dumps((number, self._run(number)))]})

    def _run(self, number: int) -> Outcome | DecantError | None:
        shard, tries = ray.get(self._feed.take.remote(number, ray.get_runtime_context().get_node_id()))
        if not shard:
            return None  # its outcome has arrived: nobody waits for it
        if tries > TRIES:
            return DecantError(
                f"an engine died at one shard {TRIES} times",
                f"look into {LOGS}; if memory was short, lower `engines` or `batch_tokens`; run again, and the shards "
                "that were done are kept",
            )
        if not self._folder.is_dir():
            return DecantError(
                f"{self._folder}: the teacher's folder is not there on the node {platform.node()}",
                "the folder must be at this path on every node: on a shared file system, or copied there",
            )
        try:
            return run_shard(self._teacher, self._folder, ray.get(shard[0]))
        except DecantError as error:  # a value, so that it reaches the driver as it is, and Ray does not retry it
            return error
