"""The stage `score` killed, stopped, out of disk, twice at once, its store damaged: the scores come out the same."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked import Run
from tests.support.planted_project import make_project, stage
from tests.support.project import ROOT, Project

SHARD = 4
KINDS = {"causal_lm": "transformers", "bi_encoder": "sentence-transformers"}


def small_shards(params: Any) -> None:
    params["store"] = {"shard": SHARD}


class Scoring:
    """A project whose stage `score` is run again and again on one store, and what it writes when nothing happens."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.project = make_project(folder / "p", kind, KINDS[kind], small_shards)
        self.log = folder / "log"
        self.undisturbed = self.finish(folder / "undisturbed")
        self.least = self.read()
        self.cache = folder / "cache"

    def start(self, pause: float = 0.0, cache: Path | None = None, log: Path | None = None) -> Run:
        environment = {
            **os.environ,
            "CI": "true",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(cache or self.cache),
        }
        command = (str(ROOT / "tests/support/counted_score.py"), str(log or self.log), str(pause), "reranker")
        return Run(*command, folder=self.project.folder, environment=environment)

    def finish(self, cache: Path | None = None) -> dict[str, bytes]:
        """Run to the end; return the bytes of all files that came out."""
        process = self.start(cache=cache)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return self.written()

    def written(self) -> dict[str, bytes]:
        folder = self.project.folder / "data/scores/reranker"
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    def read(self) -> int:
        """Prompts that engines were given since this was asked last."""
        count = sum(map(int, self.log.read_text().split())) if self.log.exists() else 0
        self.log.unlink(missing_ok=True)
        return count

    def shards(self) -> list[Path]:
        return sorted(self.cache.glob("decant/scores/*/*/*.parquet"))

    def wait_for(self, process: Run, shards: int) -> None:
        """Until so many shards are kept, or the process has ended."""
        while len(self.shards()) < shards and process.poll() is None:
            time.sleep(0.002)


@pytest.fixture(scope="module", params=list(KINDS))
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scoring:
    return Scoring(tmp_path_factory.mktemp("survives"), request.param)


@pytest.fixture
def scoring(undisturbed: Scoring) -> Scoring:
    shutil.rmtree(undisturbed.cache, ignore_errors=True)
    shutil.rmtree(undisturbed.project.folder / "data/scores", ignore_errors=True)
    undisturbed.read()
    return undisturbed


def kill(scoring: Scoring, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    killed = 0
    for number in range(kills):
        process = scoring.start(pause=0.1)
        if number % 3:
            scoring.wait_for(process, len(scoring.shards()) + rng.randint(1, 3))
            time.sleep(rng.uniform(0, 0.15))
        else:
            time.sleep(rng.uniform(0, 8))
        if process.poll() is None:
            killed += 1
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert killed > kills / 2
    assert scoring.finish() == scoring.undisturbed
    assert scoring.read() <= scoring.least + SHARD * killed
    assert not list(scoring.cache.rglob("*.partial"))


def test_killed_at_random_moments(scoring: Scoring) -> None:
    kill(scoring, 4, seed=0)


@pytest.mark.slow
def test_killed_at_thirty_random_moments(scoring: Scoring) -> None:
    kill(scoring, 30, seed=1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_by_a_signal(number: signal.Signals, code: int, scoring: Scoring) -> None:
    process = scoring.start(pause=0.05)
    scoring.wait_for(process, 4)
    os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "interrupted; nothing half-written is left" in said
    assert not list(scoring.cache.rglob("*.partial"))
    assert not (scoring.project.folder / "data/scores/reranker").exists()
    assert scoring.finish() == scoring.undisturbed
    assert scoring.read() <= scoring.least + SHARD


@pytest.mark.parametrize("harm", ["truncated", "empty", "flipped"])
def test_a_damaged_shard_is_set_aside_and_made_anew(harm: str, scoring: Scoring) -> None:
    scoring.finish()
    scoring.read()
    rng = random.Random(harm)
    pairs = [path for path in scoring.shards() if path.parent.name == "pairs"]
    items = [path for path in scoring.shards() if path.parent.name == "texts"] or pairs
    harmed = {rng.choice(pairs), rng.choice(items)}
    for path in harmed:
        content = bytearray(path.read_bytes())
        if harm == "flipped":
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content if harm == "flipped" else content[: len(content) // 2] if harm == "truncated" else b"")
    shutil.rmtree(scoring.project.folder / "data/scores")  # else its scores would be taken in
    process = scoring.start()
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "the file is damaged (SHA-256 differs) and is set aside" in said
    assert scoring.written() == scoring.undisturbed
    assert scoring.read() <= SHARD * len(harmed)  # of a bi-encoder's texts only those that a lost pair needs
    assert len(list(scoring.cache.rglob("*.broken"))) == len(harmed)
    assert scoring.finish() == scoring.undisturbed
    assert scoring.read() == 0


def test_two_runs_at_once_share_one_store_and_pay_once(scoring: Scoring, tmp_path: Path) -> None:
    other = Project(tmp_path / "other")
    shutil.copytree(scoring.project.folder, other.folder, symlinks=True)
    first = scoring.start(pause=0.1)
    scoring.wait_for(first, 1)
    here = scoring.project
    scoring.project = other
    second = scoring.start()
    said = [process.communicate(timeout=300)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert "another run is scoring with this teacher: waiting until it has ended" in said[1]
    assert scoring.written() == scoring.undisturbed
    scoring.project = here
    assert scoring.written() == scoring.undisturbed
    assert scoring.read() == scoring.least


def test_a_full_disk_keeps_what_was_scored(scoring: Scoring) -> None:
    small = scoring.cache
    small.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        process = scoring.start()
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 1, said
        assert "No space left on device" in said
        assert "free some space" in said
        assert not list(small.rglob("*.partial"))
        kept = len(scoring.shards())
        assert kept > 2
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        assert scoring.finish() == scoring.undisturbed
        assert scoring.read() <= scoring.least + SHARD
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_the_last_run_left_nothing_to_do(scoring: Scoring) -> None:
    scoring.finish()
    said = stage(scoring.project, "score", "reranker", XDG_CACHE_HOME=str(scoring.cache), DECANT_TEACHER="never")
    assert "the store holds the scores of all pairs" in said
    assert scoring.written() == scoring.undisturbed
