"""`decant doctor`: what this machine and this folder have, and what the run of params.yaml lacks."""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from decant import paths
from decant.commands.doctor_references import Finding, from_hub, look_for, wanted
from decant.errors import DecantError
from decant.processes import run_main

if TYPE_CHECKING:
    from decant.params import Params

PRESETS = Path("presets")
GPU = re.compile(r"one GPU with (\d+) GB")  # in the comment with which a preset opens, and the params made of it
DISK = re.compile(r"(\d+) GB of disk")
SPARE = 5  # GB of disk where the comment names none: the default run keeps less than half of it
PATIENCE = 10.0  # seconds that a remote has to answer
VARIABLES = ("DECANT_TEACHER", "HF_ENDPOINT", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES")
MARKS = {"ok": ("✓", "green"), "note": ("·", "yellow"), "lacks": ("✗", "red")}
# Of each extra its distribution, its name in pyproject.toml, and what wants it.
EXTRAS = (
    ("vllm", "vllm", "the engine `vllm` of teachers"),
    ("ray", "ray", "`engine_pool: ray`"),
    ("faiss-cpu", "index", "`retrieve.TRACK.indexes`"),
    ("onnxscript", "export", "the stage `export`"),
    ("mteb", "mteb", "`decant mteb`"),
    ("modelscope", "modelscope", "`modelscope:` models and sets"),
    ("dvc-s3", "s3", "remotes on S3"),
    ("dvc-ssh", "ssh", "remotes behind SSH"),
)


def doctor() -> None:
    """Say what this machine has, and what the run of params.yaml lacks, with what to do. Nothing is downloaded.

    Ends with 1 where something is lacking. Example: decant doctor
    """

    def main() -> None:
        lacking = 0
        for finding in examine():
            sign, colour = MARKS[finding.mark]
            typer.echo(f"{typer.style(sign, fg=colour)} {finding.what:<20} {finding.found}")
            if finding.advice:
                typer.echo(f"{'':<23}→ {finding.advice}")
            lacking += finding.mark == "lacks"
        if lacking:
            raise DecantError(f"{lacking} of these stand in the way of `dvc repro`", "do what follows each arrow")

    run_main("decant doctor", main)


def examine() -> Iterator[Finding]:
    """All findings: of the machine, of what is installed, of the project, its models, its remote and the presets."""
    yield from _machine()
    for name in VARIABLES:
        if name in os.environ:
            yield Finding("note", name, f"is set: {os.environ[name] or 'to nothing'}")
    os.environ["HF_HUB_OFFLINE"] = "1"  # before the hub's client is imported: nothing is downloaded to find this out
    from decant.params import load_params

    params: Params | None = None
    try:
        params = load_params(paths.PARAMS)
        yield Finding("ok", "params.yaml", "valid")
    except DecantError as error:
        yield Finding("lacks", "params.yaml", error.problem, error.remedy)
    yield from _extras(wanted(params) if params is not None else {})
    with _repository() as (repository, fault):
        yield from _disks(params, repository)
        if fault is not None:
            yield fault
        if repository is not None:
            yield from _remote(repository)
    if params is not None:
        yield from look_for(params)
    yield from _presets()


@contextmanager
def _repository() -> Iterator[tuple[Any, Finding | None]]:
    """DVC's repository of this folder; None where there is none, and then why."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        repository = Repo()
    except NotDvcRepoError:
        advice = "run in the project's folder, a git clone with .dvc/"
        yield None, Finding("lacks", "DVC", "there is no repository here", advice)
        return
    except DvcException as error:
        yield None, Finding("lacks", "DVC", str(error), "mend .dvc/config or .dvc/config.local")
        return
    with repository:
        yield repository, None


def _machine() -> Iterator[Finding]:
    import psutil

    able = (3, 11) <= sys.version_info[:2] <= (3, 13)
    version = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding("ok" if able else "lacks", "Python", version, "" if able else "make PYTHON=/path/to/python3.11")
    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("ok", "processor", f"{cores} cores, {_gb(memory.total)} of memory, {_gb(memory.available)} free")
    installed = _version("torch")
    if installed is None:
        yield Finding("lacks", "torch", "not installed", "make install")
    else:
        names = "; ".join(f"{name}, {_gb(size)}" for name, size in _gpus()) or "no GPU"
        yield Finding("ok", "torch", f"{installed}; {names}")


def _gpus() -> list[tuple[str, int]]:
    """Names of the GPUs that torch can use, and the bytes of their memory."""
    if _version("torch") is None:
        return []
    import torch

    properties = [torch.cuda.get_device_properties(place) for place in range(torch.cuda.device_count())]
    return [(of.name, of.total_memory) for of in properties]


def _extras(wanted: dict[str, str]) -> Iterator[Finding]:
    """The optional packages; `wanted` has those that the run of params takes, and how badly."""
    for distribution, extra, use in EXTRAS:
        installed, mark = _version(distribution), wanted.get(distribution, "note")
        if installed is not None:
            yield Finding("ok", distribution, installed)
        else:
            need = f"{use} {'needs' if mark == 'lacks' else 'would need'} it: pip install '.[{extra}]'"
            yield Finding(mark, distribution, "not installed", need)


def _disks(params: "Params | None", repository: Any) -> Iterator[Finding]:
    """The room on the disks of the project, of DVC's cache, of the score store and of the hub's cache, each once."""
    from decant.files import user_cache

    store, needs = user_cache() / "scores", str(SPARE)
    places = {"this folder": Path()}
    if params is not None:
        from decant.score.work import store_folder

        store, needs = store_folder(params.store), (DISK.search(_header(paths.PARAMS)) or ("", needs))[1]
        if from_hub(params):
            from huggingface_hub.constants import HF_HUB_CACHE

            places["the hub's cache"] = Path(HF_HUB_CACHE)
    places["the score store"] = store
    if repository is not None:
        places["DVC's cache"] = Path(repository.cache.local.path)
    disks: dict[int, tuple[Path, list[str]]] = {}
    for name, path in places.items():
        there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
        disks.setdefault(there.stat().st_dev, (there, []))[1].append(f"{name} ({path.absolute()})")
    for there, names in disks.values():
        free = shutil.disk_usage(there).free
        enough = free >= float(needs) * 1e9
        advice = "" if enough else f"a whole run wants {needs} GB: free some, or move a part (docs/sharing.md)"
        yield Finding("ok" if enough else "note", "disk", f"{_gb(free)} free for {', '.join(names)}", advice)


def _remote(repository: Any) -> Iterator[Finding]:
    """The default remote, and whether it answers."""
    name = repository.config["core"].get("remote")
    if name is None:
        yield Finding("note", "remote", "none", "`dvc push` needs one: docs/sharing.md sets it up")
        return
    answer = _ask_remote(repository, name)
    url = str(repository.config["remote"].get(name, {}).get("url"))
    yield Finding("note" if answer else "ok", "remote", f"{name}, {re.sub('//[^/@]*@', '//', url)}", answer)


def _ask_remote(repository: Any, name: str) -> str:
    """What a remote's failure to answer says; nothing where it answers."""
    said: list[str] = []

    def ask() -> None:
        try:
            remote = repository.cloud.get_remote(name)
            said.append("" if remote.fs.exists(remote.path) else "nothing is there yet: `dvc push` makes it")
        except Exception as error:  # of the remote's client, whichever it is
            reason = " ".join(str(error).split()) or type(error).__name__
            said.append(f"it cannot be read: {reason}")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return said[0] if said else f"it has not answered in {PATIENCE:.0f} s"


def _presets() -> Iterator[Finding]:
    """Which presets' needs, as their headers state them, the largest GPU here meets."""
    largest = max((size for _, size in _gpus()), default=0)
    for path in sorted(PRESETS.glob("*.yaml")):
        needs = GPU.search(_header(path))
        if needs is None:
            yield Finding("ok", path.name, "fits: it needs no GPU")
        elif largest >= 0.95 * float(needs[1]) * 1e9:  # a card of 40 GB has a little less, or GiB
            yield Finding("ok", path.name, f"fits: it needs a GPU with {needs[1]} GB")
        else:
            has = f"the largest here has {_gb(largest)}" if largest else "there is none here"
            yield Finding("note", path.name, f"needs a GPU with {needs[1]} GB, and {has}")


def _header(path: Path) -> str:
    """The comment with which a file of params opens."""
    return path.read_text(encoding="utf-8").partition("\nseed:")[0]


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
