"""`python counted_score.py LOG PAUSE TRACK`: the stage `score`, with a line in LOG for each shard that is read.

A line is the number of prompts, written before the engine runs; the self-test's are left out. Before
each shard it pauses, so that a kill can hit the middle. The clock goes back an hour each time that it is read.
"""

import itertools
import os
import runpy
import sys
import time
from pathlib import Path

import decant.score.engines.pool as pool
from decant.score.store.complete import SplitScores

log, pause = Path(sys.argv[1]), float(sys.argv[2])
forward_shard, complete = pool.forward_shard, SplitScores.complete
completing = []


def counted_shard(forward, prompts, plain):
    if completing:
        with log.open("a") as file:
            file.write(f"{len(prompts)}\n")
            file.flush()
            os.fsync(file.fileno())
        time.sleep(pause)
    return forward_shard(forward, prompts, plain)


def counted_complete(self, *arguments):
    completing.append(True)
    complete(self, *arguments)
    completing.pop()


pool.forward_shard, SplitScores.complete = counted_shard, counted_complete
backwards = itertools.count(time.time(), -3600)
time.time = lambda: next(backwards)
sys.argv = ["score", *sys.argv[3:]]
runpy.run_module("stages.score", run_name="__main__")
