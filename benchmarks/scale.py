"""How time and memory grow from a hundred thousand pairs to ten million, stage by stage.

    python -m benchmarks.scale [--pairs 100000 1000000 10000000] [--strategy hardest] [--into FOLDER]

Every step runs in a process of its own, on a made-up set: 20 candidates a query, of which 1 to 3 are positive, texts
of 60 characters, each candidate in four rows on average. The bar: a pair costs at most 1.3 times what it costs in the
smallest set, and no step holds 3 GB.

Seconds are without imports and without what happens once in a process: a small set goes before. The reader maps its
file into memory; its pages count in the peak, though the system takes them back when others need the memory.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from decant.files import sha256, write_json
from decant.scoring import SCHEMA

CANDIDATES = 20
POSITIVES = 3  # at most
LENGTH = 60
REPEATS = 4
NEGATIVES = 4
ROWS = 5_000  # of the set, generated at once
TRAIN_BATCH = 16
WARM_UP = 20_000  # pairs

Integers = npt.NDArray[np.int64]


def texts(numbers: Integers, kind: int) -> pa.StringArray:
    """A text of `LENGTH` letters and spaces for each number, the same for the same number and kind."""
    factors = np.random.default_rng(kind).integers(1, 2**63, LENGTH, dtype=np.uint64) | np.uint64(1)
    letters = ((numbers.astype(np.uint64)[:, None] + np.uint64(1)) * factors >> np.uint64(40)) % np.uint64(26)
    letters = (letters + np.uint64(ord("a"))).astype(np.uint8)
    letters[:, 6::7] = ord(" ")
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * LENGTH
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(letters))


def make_scores(folder: Path, pairs: int, _: str) -> str:
    """Write a file of teacher scores and its manifest."""
    scores = folder / "scores" / "train.parquet"
    scores.parent.mkdir()
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(scores, SCHEMA, compression="zstd") as file:
        for start in range(0, pairs // CANDIDATES, ROWS):
            rows = np.arange(start, min(start + ROWS, pairs // CANDIDATES))
            place = np.tile(np.arange(CANDIDATES), len(rows))
            labels = place < rng.integers(1, POSITIVES + 1, len(rows)).repeat(CANDIDATES)
            columns = [
                rows.repeat(CANDIDATES).astype(np.int32),
                texts(rows, 0).take(pa.array(rows.repeat(CANDIDATES) - start)),
                texts(rng.integers(0, pairs // REPEATS, len(place)), 1),
                labels.astype(np.int8),
                (rng.standard_normal(len(place)) + labels).astype(np.float32),
            ]
            file.write_batch(pa.record_batch(columns, schema=SCHEMA))
    write_json(scores.parent / "manifest.json", {"files": {scores.name: {"sha256": sha256(scores)}}})
    return f"a file of {scores.stat().st_size / 1e6:.0f} MB"


def triplets(folder: Path, _: int, strategy: str) -> str:
    """Draw the n-tuples."""
    from decant.triplets import Draw
    from stages.triplets import write_tuples

    positives = 1 if strategy == "teacher_top_k" else None
    draw = Draw(strategy, positives, 1 if strategy == "all_pairs" else NEGATIVES, seed=0)
    path = folder / "tuples.parquet"
    write_tuples(folder / "scores", draw, path)
    return f"{draw.tuples} n-tuples, a file of {path.stat().st_size / 1e6:.0f} MB"


def reader(folder: Path, _: int, _strategy: str) -> str:
    """Write the trainers' file and read each n-tuple once, in the shuffled batches of a trainer."""
    from decant.tuples import arrow_file, open_dataset

    with arrow_file(folder / "tuples.parquet", 15.0) as path:
        dataset = open_dataset(path)
        order = np.random.default_rng(0).permutation(len(dataset))
        for start in range(0, len(order), TRAIN_BATCH):
            dataset.__getitems__(order[start : start + TRAIN_BATCH].tolist())
        return f"a mapped file of {path.stat().st_size / 1e6:.0f} MB"


# In the order of the pipeline: each takes the folder that holds what the earlier ones wrote, the number of pairs and
# the strategy, and says what it made.
STEPS: dict[str, Callable[[Path, int, str], str]] = {
    "make_scores": make_scores,
    "triplets": triplets,
    "reader": reader,
}


def run_step(name: str, folder: Path, pairs: int, strategy: str) -> dict[str, Any]:
    """Run a step in a process of its own; return its seconds, the bytes it held at most, and what it made."""
    command = [sys.executable, "-m", "benchmarks.scale", "--step", name, "--into", str(folder)]
    command += ["--pairs", str(pairs), "--strategy", strategy]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def step(name: str, folder: Path, pairs: int, strategy: str) -> None:
    """Run a step here and print what `run_step` returns."""
    with tempfile.TemporaryDirectory() as scratch:
        for each in list(STEPS)[: list(STEPS).index(name) + 1]:
            STEPS[each](Path(scratch), WARM_UP, strategy)
    start = time.perf_counter()
    made = STEPS[name](folder, pairs, strategy)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    print(json.dumps({"seconds": seconds, "peak": peak, "made": made}))


def main(sizes: list[int], strategy: str, into: Path | None) -> None:
    """Print one table."""
    print("| step | pairs | seconds | µs a pair | ratio | peak RSS | made |\n|" + " --- |" * 7)
    smallest: dict[str, float] = {}
    for pairs in sorted(sizes):
        with tempfile.TemporaryDirectory(dir=into) as scratch:
            for name in STEPS:
                found = run_step(name, Path(scratch), pairs, strategy)
                each = found["seconds"] / pairs
                ratio = each / smallest.setdefault(name, each)
                cells = [
                    f"{found['seconds']:.2f}",
                    f"{each * 1e6:.2f}",
                    f"{ratio:.2f}",
                    f"{found['peak'] / 1e6:.0f} MB",
                ]
                print(f"| {name} | {pairs} | {' | '.join(cells)} | {found['made']} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument(
        "--strategy", default="hardest", choices=["hardest", "random", "by_rank", "all_pairs", "teacher_top_k"]
    )
    parser.add_argument("--into", type=Path, help="a folder on a disk with room for some gigabytes")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step(arguments.step, arguments.into, arguments.pairs[0], arguments.strategy)
    else:
        main(arguments.pairs, arguments.strategy, arguments.into)
