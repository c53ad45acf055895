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
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from decant import paths
from decant.errors import DecantError
from decant.processes import run_main

if TYPE_CHECKING:
    from decant.params import Params
    from decant.sources import Kind

PRESETS = Path("presets")
HEADER = re.compile(r"one GPU with (\d+) GB")  # in the comment with which a preset opens
SPARE = 5e9  # bytes of disk: the default run keeps less than half of it
PATIENCE = 10.0  # seconds that a remote or a hub has to answer
MARKS = {"ok": ("✓", "green"), "note": ("·", "yellow"), "lacks": ("✗", "red")}
# Of each extra its distribution, its name in pyproject.toml, and what wants it.
EXTRAS = (
    ("vllm", "vllm", "the engine `vllm` of teachers"),
    ("ray", "ray", "`engine_pool: ray`"),
    ("faiss-cpu", "index", "`retrieve.TRACK.indexes`"),
    ("mteb", "mteb", "`decant mteb`"),
    ("modelscope", "modelscope", "`modelscope:` models and sets"),
    ("dvc-s3", "s3", "remotes on S3"),
    ("dvc-ssh", "ssh", "remotes behind SSH"),
)


class Finding(NamedTuple):
    """One line of what was found."""

    mark: str  # one of `MARKS`: `lacks` is what the run of params.yaml cannot do without
    what: str
    found: str
    advice: str = ""


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
    params: Params | None = None
    try:
        from decant.params import load_params

        params = load_params(paths.PARAMS)
        yield Finding("ok", "params.yaml", "valid")
    except DecantError as error:
        yield Finding("lacks", "params.yaml", error.problem, error.remedy)
    yield from _extras(params)
    with _repository() as repository:
        yield from _disks(params, repository)
        yield from _remote(repository)
    if params is not None:
        yield from _sets(params)
        yield from _models(params)
    yield from _presets()


@contextmanager
def _repository() -> Iterator[Any]:
    """DVC's repository of this folder; None where there is none."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repository = Repo()
    except DvcException:
        yield None
        return
    with repository:
        yield repository


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
        return
    gpus = _gpus()
    names = "; ".join(f"{name}, {_gb(size)}" for name, size in gpus) or "no GPU"
    yield Finding("ok", "torch", f"{installed}; {names}")
    for name in ("DECANT_TEACHER", "HF_ENDPOINT", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES"):
        if name in os.environ:
            yield Finding("note", name, f"is set: {os.environ[name] or 'to nothing'}")


def _gpus() -> list[tuple[str, int]]:
    """Names of the GPUs that torch can use, and the bytes of their memory."""
    import torch

    properties = [torch.cuda.get_device_properties(place) for place in range(torch.cuda.device_count())]
    return [(of.name, of.total_memory) for of in properties]


def _extras(params: "Params | None") -> Iterator[Finding]:
    """The optional packages; those that params or the remotes want must be there."""
    wanted = _wanted(params) if params is not None else set()
    for distribution, extra, use in EXTRAS:
        installed = _version(distribution)
        if installed is not None:
            yield Finding("ok", distribution, installed)
        else:
            mark = "lacks" if distribution in wanted else "note"
            need = f"{use} {'needs' if mark == 'lacks' else 'would need'} it: pip install '.[{extra}]'"
            yield Finding(mark, distribution, "not installed", need)


def _wanted(params: "Params") -> set[str]:
    teachers = [member for track in params.tracks.values() for member in track.teacher.members]
    references = [model.model for _, model in _named(params)]
    references += [source for of in params.datasets.values() if (source := str(of.source))]
    wanted = {"vllm" for teacher in teachers if teacher.engine == "vllm"}
    wanted |= {"ray" for teacher in teachers if teacher.engine_pool == "ray"}
    wanted |= {"faiss-cpu" for searched in params.retrieve.values() if searched.indexes}
    return wanted | {"modelscope" for reference in references if reference.startswith("modelscope:")}


def _disks(params: "Params | None", repository: Any) -> Iterator[Finding]:
    """The room on the disks of the project, of DVC's cache, of the score store and of the hub's cache, each once."""
    from huggingface_hub.constants import HF_HUB_CACHE

    from decant.files import user_cache

    store = user_cache() / "scores"
    if params is not None:
        from decant.score.work import store_folder

        store = store_folder(params.store)
    places = {"this folder": Path(), "the score store": store, "the hub's cache": Path(HF_HUB_CACHE)}
    if repository is not None:
        places["DVC's cache"] = Path(repository.cache.local.path)
    disks: dict[int, tuple[Path, list[str]]] = {}
    for name, path in places.items():
        there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
        disks.setdefault(there.stat().st_dev, (there, []))[1].append(f"{name} ({path.absolute()})")
    for there, names in disks.values():
        free = shutil.disk_usage(there).free
        enough = free >= SPARE
        yield Finding(
            "ok" if enough else "lacks",
            "disk",
            f"{_gb(free)} free for {', '.join(names)}",
            "" if enough else f"the default run wants {_gb(SPARE)}: free some, or move it (docs/sharing.md)",
        )


def _remote(repository: Any) -> Iterator[Finding]:
    """The default remote, and whether it answers."""
    if repository is None:
        yield Finding("lacks", "DVC", "no repository here", "run in the project's folder, a git clone with .dvc/")
        return
    name = repository.config["core"].get("remote")
    if name is None:
        yield Finding("note", "remote", "none", "`dvc push` needs one: docs/sharing.md sets it up")
        return
    answer = _ask_remote(repository, name)
    url = repository.config["remote"].get(name, {}).get("url")
    yield Finding("note" if answer else "ok", "remote", f"{name}, {url}", answer)


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


def _named(params: "Params") -> Iterator[tuple[str, Any]]:
    """The models that params name, by their keys."""
    for name, track in params.tracks.items():
        several = len(track.teacher.members) > 1
        for number, teacher in enumerate(track.teacher.members, 1):
            yield f"{name}.teacher" + (f" {number}" if several else ""), teacher
        yield f"{name}.student", track.student


def _sets(params: "Params") -> Iterator[Finding]:
    """Whether each set's source is on this machine, and of the versions that it is defined by."""
    from decant.sources.references import check_versions

    for name, dataset in params.datasets.items():
        try:
            check_versions(dataset.packages)
        except DecantError as error:
            yield Finding("lacks", f"datasets.{name}", error.problem, error.remedy)
            continue
        yield _looked_for(f"datasets.{name}", dataset.source, dataset.revision, "dataset")


def _models(params: "Params") -> Iterator[Finding]:
    """Whether each model is on this machine."""
    for key, model in _named(params):
        if getattr(model, "server", None) is not None:
            yield Finding("ok", key, f"{model.model}, scored by the server at {model.server.url}, which was not asked")
        elif model.model.startswith(f"path:{paths.TEACHERS}/"):
            yield Finding("ok", key, f"{model.model}, which the stage `adapt` makes")
        else:
            yield _looked_for(key, model.model, model.revision, "model")


def _looked_for(key: str, reference: str, revision: str | None, kind: "Kind") -> Finding:
    """Whether what a reference names is here; a repository of a hub in the hub's cache."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # before the client is imported: nothing is downloaded to find this out
    from decant.sources.conversion import PICKLE
    from decant.sources.references import WEIGHTS, resolve

    scheme = reference.partition(":")[0]
    later = f"not in the hub's cache: `dvc repro` downloads this {kind}"
    if scheme == "modelscope":
        return Finding("note", key, reference, "ModelScope's cache is not looked into; `dvc repro` downloads it")
    try:
        found = resolve(reference, revision, kind)
    except DecantError as error:
        if scheme == "hub":
            return Finding("note", key, reference, later)
        return Finding("lacks", key, error.problem, error.remedy)
    weights = any(found.glob(WEIGHTS)) or (found / PICKLE).is_file()
    lacks = scheme == "hub" and kind == "model" and not weights
    return Finding("note" if lacks else "ok", key, reference, later if lacks else "")


def _presets() -> Iterator[Finding]:
    """Which presets' needs, as their headers state them, the largest GPU here meets."""
    largest = max((size for _, size in _gpus()), default=0)
    for path in sorted(PRESETS.glob("*.yaml")):
        header = path.read_text(encoding="utf-8").partition("\nseed:")[0]
        needs = HEADER.search(header)
        if needs is None:
            yield Finding("ok", path.name, "fits: it needs no GPU")
        elif largest >= 0.95 * float(needs[1]) * 1e9:  # a card of 40 GB has a little less, or GiB
            yield Finding("ok", path.name, f"fits: it needs a GPU with {needs[1]} GB")
        else:
            has = f"the largest here has {_gb(largest)}" if largest else "there is none here"
            yield Finding("note", path.name, f"needs a GPU with {needs[1]} GB, and {has}")


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
