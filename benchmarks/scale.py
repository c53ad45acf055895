"""How time and memory grow from a hundred thousand pairs to ten million, stage by stage.

    python -m benchmarks.scale [--pairs 100000 1000000 10000000] [--strategy hardest] [--into FOLDER]

Every step runs in a process of its own, on a made-up set: 20 candidates a query, of which 1 to 3 are positive, texts
of 60 characters, each candidate in four rows of the same five
thousand on average. The bar: a pair costs at most 1.3 times what it costs in the
smallest set, and no step holds 3 GB.

Seconds are without imports and without what happens once in a process: a small set goes before, after which the peak is
`at first`. The reader maps its file into memory; its pages count in the peak, though the system takes them back when
others need the memory.
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

NEGATIVES = 4
TRAIN_BATCH = 16
WARM_UP = 20_000  # pairs


def make_set(folder: Path, pairs: int, _: str) -> str:
    """Write the set."""
    from benchmarks.synthetic import write_set

    write_set(folder / "set.parquet", pairs)
    return f"a file of {(folder / 'set.parquet').stat().st_size / 1e6:.0f} MB"


def score(folder: Path, _: int, _strategy: str) -> str:
    """Score all pairs with a teacher that costs nothing, into the store, and assemble the output from it."""
    from benchmarks.synthetic import score

    score(folder)
    shards = list((folder / "store").glob("*/pairs/*.parquet"))
    return f"{len(shards)} shards of {sum(path.stat().st_size for path in shards) / 1e6:.0f} MB"


def assemble(folder: Path, _: int, _strategy: str) -> str:
    """Assemble the output from a store that holds all scores."""
    from benchmarks.synthetic import score

    score(folder)
    return f"a file of {(folder / 'scores/train.parquet').stat().st_size / 1e6:.0f} MB"


def triplets(folder: Path, _: int, strategy: str) -> str:
    """Draw the n-tuples."""
    from decant.triplets.run import write_tuples
    from decant.triplets.settings import Triplets

    positives = 1 if strategy == "teacher_top_k" else None
    negatives = 1 if strategy == "all_pairs" else NEGATIVES
    path = folder / "tuples.parquet"
    draw, _ = write_tuples(
        folder / "scores", Triplets(strategy=strategy, positives=positives, negatives=negatives), path
    )
    return f"{draw.tuples} n-tuples, a file of {path.stat().st_size / 1e6:.0f} MB"


def reader(folder: Path, _: int, _strategy: str) -> str:
    """Write the trainers' file and read each n-tuple once, in the shuffled batches of a trainer."""
    from datasets import Dataset

    from decant.train.columns import arrow_file

    with arrow_file(folder / "tuples.parquet") as path:
        dataset = Dataset.from_file(str(path))
        order = np.random.default_rng(0).permutation(len(dataset))
        for start in range(0, len(order), TRAIN_BATCH):
            dataset.__getitems__(order[start : start + TRAIN_BATCH].tolist())
        return f"a mapped file of {path.stat().st_size / 1e6:.0f} MB"


# In the order of the pipeline: each takes the folder that holds what the earlier ones wrote, the number of pairs and
# the strategy, and says what it made.
STEPS: dict[str, Callable[[Path, int, str], str]] = {
    "make_set": make_set,
    "score": score,
    "assemble": assemble,
    "triplets": triplets,
    "reader": reader,
}


def run_step(name: str, folder: Path, pairs: int, strategy: str) -> dict[str, Any]:
    """Run a step in a process of its own; return its seconds, its memory in MB, and what it made."""
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
    at_first = peak()
    start = time.perf_counter()
    made = STEPS[name](folder, pairs, strategy)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "at_first": at_first, "peak": peak(), "made": made}))


def peak() -> float:
    """The most memory that this process has held, in MB; Linux counts in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main(sizes: list[int], strategy: str, into: Path | None) -> None:
    """Print one table."""
    print("| step | pairs | seconds | µs a pair | ratio | at first | peak RSS | made |\n|" + " --- |" * 8)
    smallest: dict[str, float] = {}
    for pairs in sorted(sizes):
        with tempfile.TemporaryDirectory(dir=into) as scratch:
            for name in STEPS:
                found = run_step(name, Path(scratch), pairs, strategy)
                each = found["seconds"] / pairs
                ratio = each / smallest.setdefault(name, each)
                cells = [f"{found['seconds']:.2f}", f"{each * 1e6:.2f}", f"{ratio:.2f}"]
                cells += [f"{found[key]:.0f} MB" for key in ("at_first", "peak")]
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
