"""Engines in Ray Data actors, on real Ray clusters on this machine: the bytes of one process, whatever dies meanwhile.

Run by `make test-ray`, which makes the environment that most of it needs.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from decant.errors import DecantError
from decant.score.engines.pool import InProcess
from decant.score.engines.robust import AHEAD, NOT_FINITE, Outcome
from decant.score.prompts import Prompt
from tests.support import tiny_models as tiny
from tests.support.planted_project import make_project, stage_anew
from tests.support.project import ROOT, Project
from tests.support.ray_shards import actors, check, shards, teacher_of, wait_until

if TYPE_CHECKING:
    from decant.score.engines.ray_pool import RayPool

CLUSTER = """
import os, sys
from ray.cluster_utils import Cluster
os.environ["OMP_NUM_THREADS"] = "1"  # of the nodes
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **HEAD})
second = cluster.add_node(num_cpus=1) if NODES == 2 else None
os.environ.update(RAY_ADDRESS=cluster.address, OMP_NUM_THREADS="2")  # of the command
sys.path[:0] = [ROOT]
from tests.support.ray_shards import *
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny teacher whose scores are NaN where a text holds the word fever."""
    folder = tiny.qwen3(tmp_path_factory.mktemp("models") / "teacher", embedding=True)
    weights = load_file(folder / "model.safetensors")
    [fever] = AutoTokenizer.from_pretrained(folder).encode(" fever", add_special_tokens=False)
    weights["model.embed_tokens.weight"][fever] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def expected(model: Path) -> dict[int, Outcome]:
    return dict(InProcess(teacher_of(model), model).map(shards(model)))


@pytest.fixture(scope="module")
def pool(model: Path) -> Iterator["RayPool"]:
    from decant.score.engines.ray_pool import RayPool

    on_sigterm = signal.getsignal(signal.SIGTERM)
    pool = RayPool(teacher_of(model), model)
    assert signal.getsignal(signal.SIGTERM) is on_sigterm
    yield pool
    pool.close(kill=False)


def elsewhere(folder: Path, script: str, nodes: int = 1, **head: Any) -> str:
    """What a script prints in a process with a cluster of its own, whose nodes know nothing of this checkout."""
    path = folder / "script.py"
    begin = CLUSTER.replace("HEAD", repr(head)).replace("NODES", str(nodes)).replace("ROOT", repr(str(ROOT)))
    path.write_text(begin + script)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")}
    done = subprocess.run(
        [sys.executable, str(path)], cwd=folder, env=environment, text=True, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.ray
def test_the_bytes_of_one_process_and_its_faults(pool: "RayPool", model: Path, expected: dict) -> None:
    taken, found, ahead = 0, {}, []

    def counted() -> Iterator[tuple[int, Sequence[Prompt]]]:
        nonlocal taken
        for shard in shards(model):
            taken += 1
            yield shard

    for number, outcome in pool.map(counted()):
        assert number not in found
        found[number] = outcome
        ahead.append(taken - len(found))
    check(found, expected)
    assert max(ahead) == AHEAD * 2 - 1  # and the one at hand
    assert found[1000].faults == {0: NOT_FINITE}
    engines = [process.pid for process in actors()]
    assert len(engines) == 2
    check(dict(pool.map(shards(model))), expected)
    assert [process.pid for process in actors()] == engines  # which keep what they loaded
    assert list(pool.map(iter(()))) == []


@pytest.mark.ray
def test_a_killed_actor_costs_nothing_but_time(pool: "RayPool", model: Path) -> None:
    whole = [shard for place, shard in enumerate(shards(model)) if place % 3]  # without faults
    heavy = [(number, [*prompts] * 60) for number, prompts in whole[:6]]  # of a second or so each
    found, killed = {}, None
    for number, outcome in pool.map(heavy):
        assert number not in found
        found[number] = outcome
        if killed is None:
            wait_until(lambda: actors(title="(_Engine)).submit"))
            killed = actors(title="(_Engine)).submit")[0]
            killed.kill()
    check(found, dict(InProcess(teacher_of(model), model).map(heavy)))
    assert killed is not None
    assert not killed.is_running()


@pytest.mark.ray
def test_what_a_map_that_was_given_up_leaves_is_not_the_nexts(pool: "RayPool", model: Path, expected: dict) -> None:
    for _ in pool.map(shards(model)):
        break
    found = dict(pool.map((number + 5000, shard) for number, shard in shards(model)))
    check(found, {number + 5000: outcome for number, outcome in expected.items()})


@pytest.mark.ray
def test_a_fault_of_the_engine_is_told_as_it_is_and_nothing_is_left(model: Path, pool: "RayPool") -> None:
    from decant.score.engines.ray_pool import RayPool

    pool.close(kill=False)  # which no test after this one uses
    alone = teacher_of(model, engines=1)
    headless = alone.model_copy(update={"kind": "cross_encoder"})
    for teacher, folder, fault in (
        (headless, model, "Qwen3ForCausalLM has no classification head to keep"),
        (alone, model / "none", "the teacher's folder is not there on the node "),
    ):
        broken = RayPool(teacher, folder)
        before = psutil.Process().children(recursive=True)
        with pytest.raises(DecantError, match=fault) as error:
            list(broken.map(shards(model)))
        assert "Traceback" not in str(error.value)
        broken.close(kill=True)
        wait_until(lambda before=before: not any(process.is_running() for process in before), 10)
        assert not psutil.Process().children(recursive=True)


@pytest.mark.ray
@pytest.mark.slow
def test_a_shard_that_kills_its_engine_does_not_do_so_for_ever(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from decant.score.engines.ray_pool import TRIES, RayPool

    one = RayPool(teacher_of(model, engines=1), model)
    killed = set()
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.02):
            for process in actors(title="(_Engine)).submit"):
                killed.add(process.pid)
                process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        with pytest.raises(DecantError, match=f"an engine died at one shard {TRIES} times"):
            list(one.map([next(shards(model))]))
    finally:
        ended.set()
        thread.join()
        one.close(kill=True)
    assert len(killed) >= TRIES


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGKILL"])
def test_nothing_outlives_a_stage_that_is_stopped(how: str, model: Path, tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from tests.support.ray_shards import shards, teacher_of; from stages import cli\n"
        "from decant.score.engines.ray_pool import RayPool\n"
        "def main():\n"
        f"    model = Path({str(model)!r})\n"
        "    pool = RayPool(teacher_of(model), model)\n"
        "    try:\n"
        "        while True:\n"
        "            for _ in pool.map(shards(model)): print('x', flush=True)\n"
        "    except BaseException: pool.close(kill=True); raise\n"
        "cli.run('score --x', main)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    out = (tmp_path / "out").open("w+")
    stage = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, stdout=out, stderr=out, start_new_session=True
    )
    try:
        wait_until(lambda: "x" in (tmp_path / "out").read_text() or stage.poll() is not None, 120)
        assert stage.poll() is None, (tmp_path / "out").read_text()
        started = psutil.Process(stage.pid).children(recursive=True)
        if how == "SIGKILL":  # two agents of Ray's own, which hold no engine, end a minute later
            started = [process for process in started if "Agent" not in process.name()]
        assert len(started) > 4
        if how == "Ctrl-C":
            os.killpg(stage.pid, signal.SIGINT)
            assert stage.wait(60) == 130
            assert "interrupted" in (tmp_path / "out").read_text()
        else:
            stage.kill()
        wait_until(lambda: not any(process.is_running() for process in started), 30)
    finally:
        stage.kill()
        out.close()


@pytest.mark.ray
@pytest.mark.slow
def test_a_lost_node_costs_nothing_but_time_though_none_takes_its_place(
    model: Path, expected: dict, tmp_path: Path
) -> None:
    script = (
        "from decant.score.engines.ray_pool import RayPool\n"
        f"model = Path({str(model)!r})\n"
        "pool, found = RayPool(teacher_of(model), model), {}\n"
        "for number, outcome in pool.map(shards(model)):\n"
        "    assert number not in found\n"
        "    found[number] = outcome\n"
        "    if len(found) == 4: cluster.remove_node(second, allow_graceful=False)\n"
        "check(found, dict(InProcess(teacher_of(model), model).map(shards(model))))\n"
        "pool.close(kill=False)\n"
        "print('complete')\n"
    )
    assert "complete" in elsewhere(tmp_path, script, nodes=2)


@pytest.mark.ray
@pytest.mark.slow
def test_an_actor_has_its_share_of_the_clusters_gpus(model: Path, tmp_path: Path) -> None:
    script = (
        "import pytest, ray\n"
        "from decant.errors import DecantError\n"
        "from decant.score.engines.ray_pool import RayPool, count_engines\n"
        f"model = Path({str(model)!r})\n"
        "def sharing(each, engines=None):\n"
        "    return teacher_of(model).model_copy(update={'engines': engines, 'tensor_parallel': each})\n"
        "assert [count_engines(sharing(each)) for each in (1, 2)] == [3, 1]\n"
        "for wrong in (sharing(4), sharing(2, engines=2)):\n"
        "    with pytest.raises(DecantError, match='GPUs each, and the Ray cluster has room for [01]'):\n"
        "        count_engines(wrong)\n"
        "pool = RayPool(sharing(2), model)\n"
        "assert len(dict(pool.map(shards(model)))) == SHARDS\n"
        "assert ray.available_resources()['GPU'] == 1\n"
        "pool.close(kill=False)\n"
        "print('counted')\n"
    )
    assert "counted" in elsewhere(tmp_path, script, num_gpus=3)


@pytest.mark.ray
def test_a_stage_on_ray_writes_the_scores_of_one_in_a_process(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", "causal_lm", "transformers")
    other: Project = project.copy(tmp_path / "other")
    other.edit_params(lambda params: params["reranker"]["teacher"].update(engine_pool="ray", engines=2))
    stage_anew(project, "score", "reranker")
    stage_anew(other, "score", "reranker")
    for name in ("train.parquet", "test_in_domain.parquet"):
        one, two = (p.folder / "data/scores/reranker" / name for p in (project, other))
        assert one.read_bytes() == two.read_bytes()


def test_ray_that_is_not_installed_is_told() -> None:
    script = (
        "import sys; sys.modules['ray'] = None\n"
        "from decant.errors import DecantError\n"
        "try: import decant.score.engines.ray_pool\n"
        "except DecantError as error: print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "teacher.engine_pool is ray, and Ray is not installed" in said.stdout
    assert "`pip install '.[ray]'`" in said.stdout
