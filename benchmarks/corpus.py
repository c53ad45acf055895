"""Exact search of a corpus of invented embeddings: time by its size, peak memory, and sentence-transformers' beside it.

    python -m benchmarks.corpus [--documents 1000000] [--numbers 384] [--queries 1000] [--folder FOLDER]

Embeddings lie in a file, as the score store gives them to the stage `retrieve`, and are searched by
`decant.retrieve.search.nearest`. The baseline is `sentence_transformers.util.semantic_search`, which has them in
memory. Both search each size once, one after the other, in a process of their own: peak memory is the process's, its
imports included.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TOP_K = 100
SHARES = (4, 2, 1)  # a quarter of the documents, half of them, all
WAYS = ("decant", "library")


def write(path: Path, documents: int, numbers: int) -> None:
    """Embeddings of unit length, drawn at random, written a part at a time."""
    rng = np.random.default_rng(0)
    kept = np.memmap(path, np.float32, "w+", shape=(documents, numbers))
    for first in range(0, documents, 65536):
        block = rng.normal(size=(min(65536, documents - first), numbers))
        kept[first : first + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    kept.flush()


def search(way: str, path: Path, documents: int, numbers: int, queries: int) -> dict[str, float]:
    """Seconds and peak memory in GB of one search of the first so many documents, in this process."""
    import torch
    from sentence_transformers import util

    from decant.retrieve.search import nearest

    kept = np.memmap(path, np.float32, "r", shape=(documents, numbers))
    asked = np.random.default_rng(1).normal(size=(queries, numbers)).astype(np.float32)
    start = time.perf_counter()
    if way == "decant":
        found = [ranking.scores[-1] for ranking in nearest(asked, kept, TOP_K)]
    else:
        vectors = torch.from_numpy(np.array(kept))
        hits = util.semantic_search(torch.from_numpy(asked), vectors, top_k=TOP_K, score_function=util.dot_score)
        found = [of_query[-1]["score"] for of_query in hits]
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"seconds": seconds, "gigabytes": peak, "check": float(np.mean(found))}


def main() -> None:
    """Print a row for each size and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("documents", 1_000_000), ("numbers", 384), ("queries", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, help="for the file of embeddings; a temporary one without it")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(search(options.way, options.file, options.documents, options.numbers, options.queries)))
        return
    headers = f"documents of {options.numbers} numbers", "way", f"s for {options.queries} queries"
    print(f"| {' | '.join(headers)} | times the library's | peak GB |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        path = Path(scratch) / "embeddings"
        write(path, options.documents, options.numbers)
        for share in SHARES:
            count = options.documents // share
            sizes = ["--documents", str(count), "--numbers", str(options.numbers), "--queries", str(options.queries)]
            of_way = {}
            for way in WAYS:
                command = [sys.executable, "-m", "benchmarks.corpus", "--way", way, "--file", str(path), *sizes]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                of_way[way] = json.loads(done.stdout)
            assert np.isclose(of_way["decant"]["check"], of_way["library"]["check"], rtol=1e-5), "other documents"
            for way, measured in of_way.items():
                ratio = measured["seconds"] / of_way["library"]["seconds"]
                figures = f"{measured['seconds']:.1f} | {ratio:.2f} | {measured['gigabytes']:.2f}"
                print(f"| {count} | {way} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
