"""Whether the models and sets that params name are on this machine, for `decant doctor`."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from decant import paths
from decant.blocks import Block
from decant.errors import DecantError
from decant.files import read_json
from decant.sources import SCHEMES, Kind
from decant.sources.conversion import PICKLE
from decant.sources.references import WEIGHTS, check_versions, resolve

if TYPE_CHECKING:
    from decant.params import Params

KINDS: dict[str, Kind] = {"source": "dataset", "corpus": "dataset", "model": "model", "encoder": "model"}


class Finding(NamedTuple):
    """One line of what `decant doctor` finds."""

    mark: str  # `ok`, `note`, or `lacks` for what the run of params.yaml cannot do without
    what: str
    found: str
    advice: str = ""


class Named(NamedTuple):
    """A model or set that params name."""

    key: str
    reference: str
    revision: str | None
    kind: Kind
    block: Block  # that names it


def look_for(params: "Params") -> Iterator[Finding]:
    """A finding for each model and set that params name; a hub's is looked for in the hub's cache alone."""
    for name, dataset in params.datasets.items():
        try:
            check_versions(dataset.packages)
        except DecantError as error:
            yield Finding("lacks", f"datasets.{name}.packages", error.problem, error.remedy)
    for named in _named(params):
        yield _look(named, _needless(params, named.key))


def wanted(params: "Params") -> dict[str, str]:
    """The extras that the run of params takes, by distribution: `lacks`, or `note` where it can do without."""
    found: dict[str, str] = {}
    for named in _named(params):
        mark = "note" if _needless(params, named.key) else "lacks"
        needs = {"vllm"} if getattr(named.block, "engine", None) == "vllm" else set()
        needs |= {"ray"} if getattr(named.block, "engine_pool", None) == "ray" else set()
        needs |= {"modelscope"} if named.reference.startswith("modelscope:") else set()
        found |= {need: mark for need in needs if found.get(need) != "lacks"}
    if any(searched.indexes for searched in params.retrieve.values()):
        found["faiss-cpu"] = "lacks"
    if params.export:
        found["onnxscript"] = "lacks"
    return found


def from_hub(params: "Params") -> bool:
    """Whether params name a model or set of the hub."""
    return any(named.reference.startswith("hub:") for named in _named(params))


def _named(params: "Params") -> Iterator[Named]:
    """Each reference to a model or set, once for each key."""
    for name, value in params:
        yield from _within(name, value)


def _within(key: str, value: Any) -> Iterator[Named]:
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from _within(f"{key}.{name}", inside)
    elif isinstance(value, list):
        for place, inside in enumerate(value):
            yield from _within(f"{key}.{place}", inside)
    elif isinstance(value, Block):
        for name, inside in value:
            if name in KINDS and isinstance(inside, str) and inside.partition(":")[0] in SCHEMES:
                revision = getattr(value, "encoder_revision" if name == "encoder" else "revision", None)
                shown = key if "." in key and name in ("model", "source") else f"{key}.{name}"
                yield Named(shown, inside, revision, KINDS[name], value)
            else:
                yield from _within(f"{key}.{name}", inside)


def _needless(params: "Params", key: str) -> bool:
    """Whether a teacher need not run, since its scores are here, or the environment forbids it."""
    track, _, part = key.partition(".")
    if not part.startswith("teacher"):
        return False
    manifest = paths.SCORES / track / "manifest.json"
    models = {member.model for member in params.track(track).teacher.members}
    scored = manifest.is_file() and models <= set(_texts(read_json(manifest)))
    return scored or os.environ.get("DECANT_TEACHER") == "never"


def _texts(content: Any) -> Iterator[str]:
    """All texts in what a JSON file holds: the manifest of an ensemble has one for each teacher."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for inside in content.values() if isinstance(content, dict) else content:
            yield from _texts(inside)


def _look(named: Named, needless: bool) -> Finding:
    key, reference, scheme = named.key, named.reference, named.reference.partition(":")[0]
    server = getattr(named.block, "server", None)
    if server is not None:
        return Finding("ok", key, f"{reference}, scored by a server, which was not asked")
    if reference.startswith(f"path:{paths.TEACHERS}/"):
        return Finding("ok", key, f"{reference}, which the stage `adapt` makes")
    if scheme == "modelscope":
        advice = "ModelScope's cache is not looked into; `dvc repro` downloads it"
        return Finding("note", key, reference, advice)
    later = f"not in the hub's cache: `dvc repro` downloads this {named.kind}"
    if needless:
        later = "not here, and not needed while its scores are"
    try:
        found = resolve(reference, named.revision, named.kind)
    except DecantError as error:
        if scheme == "hub" or needless:
            return Finding("note", key, reference, later)
        return Finding("lacks", key, error.problem, error.remedy)
    weights = any(found.glob(WEIGHTS)) or (found / PICKLE).is_file()
    lacks = scheme == "hub" and named.kind == "model" and not weights
    return Finding("note" if lacks else "ok", key, reference, later if lacks else "")
