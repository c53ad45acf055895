"""How fast a user's file becomes a validated split, beside pyarrow's own reading of the same JSON.

    python -m benchmarks.reading [--rows 1000000] [--candidates 30] [--into FOLDER]

Rows are made up: a query, one positive and the rest negatives, texts of ten words, as JSON lines behind zstd. Each step
runs in a process of its own: pyarrow reads the file (`pyarrow.json.open_json`, all threads), and Decant reads,
validates and writes it. The bar: at least half of pyarrow's speed, and less than 2 GB.
"""

import argparse
import importlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

BLOCK = 8 << 20  # bytes that pyarrow reads at once


def write(path: Path, rows: int, candidates: int) -> None:
    """Write the file."""
    import pyarrow as pa

    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(20_000)]

    def text() -> str:
        return " ".join(rng.choices(words, k=10)).capitalize() + "."

    with pa.CompressedOutputStream(str(path), "zstd") as file:
        for number in range(rows):
            negatives = [text() for _ in range(candidates - 1)]
            row = {"query": f"{text()} {number}", "positive": [text()], "negative": negatives}
            file.write(json.dumps(row).encode() + b"\n")


def pyarrow_reads(path: Path) -> int:
    """Read all rows and keep none."""
    import pyarrow.json as pj

    return sum(len(batch) for batch in pj.open_json(str(path), read_options=pj.ReadOptions(block_size=BLOCK)))


def decant_writes(path: Path) -> int:
    """Read, validate and write all rows."""
    import pyarrow.parquet as pq

    from decant.fetch.build import Source, write_valid
    from decant.fetch.settings import DataSet

    settings = DataSet(source=f"path:{path}", train=path.name, test=1, task="")
    written = path.with_suffix(".parquet")
    write_valid(Source(settings, path), "train", written)
    return int(pq.read_metadata(written).num_rows)


STEPS: dict[str, Callable[[Path], int]] = {"pyarrow reads": pyarrow_reads, "decant writes": decant_writes}


def measure(step: str, path: Path) -> tuple[float, float]:
    """Rows a second and the peak memory in bytes of a step in a process of its own, without imports."""
    command = [sys.executable, "-m", "benchmarks.reading", "--step", step, "--file", str(path)]
    seconds, peak, rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return rows / seconds, peak


def main() -> None:
    """Write the file, measure both steps, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--candidates", type=int, default=30)
    parser.add_argument("--into", type=Path, help="a folder for the file, which is kept and used again")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        for module in ("pyarrow.json", "pandas", "decant.fetch.build", "decant.data.tables"):
            importlib.import_module(module)  # which is not timed; pyarrow imports pandas
        start = time.perf_counter()
        rows = STEPS[arguments.step](arguments.file)
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps([time.perf_counter() - start, most, rows]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.into or Path(temporary)
        path = folder / f"{arguments.rows}x{arguments.candidates}.jsonl.zst"
        if not path.is_file():
            write(path, arguments.rows, arguments.candidates)
        print("| step | rows/s | of pyarrow's | peak memory |\n| --- | --- | --- | --- |")
        baseline = 0.0
        for step in STEPS:
            speed, peak = measure(step, path)
            baseline = baseline or speed
            print(f"| {step} | {speed:,.0f} | {speed / baseline:.2f} | {peak / 1e9:.2f} GB |", flush=True)


if __name__ == "__main__":
    main()
