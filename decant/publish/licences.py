"""The licences of what a student was made of: its own model, its teachers and its data, and where they disagree."""

import importlib.metadata
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from decant import paths
from decant.params import Params
from decant.sources import Kind

FREE = re.compile(r"apache-2.0|mit|bsd(-[23]-clause)?|cc0-1.0|cc-by-[34].0|isc|unlicense|psf-2.0|zlib")
NON_COMMERCIAL = re.compile(r"\bnc\b|non-?commercial")
SHARE_ALIKE = re.compile(r"gpl|\bsa\b|mpl-2.0")
SPELLED = {"mit license": "mit", "apache software license": "apache-2.0", "bsd license": "bsd", "isc license": "isc"}
ASKED = 10.0  # seconds that the hub has for an answer


class Source(NamedTuple):
    """Something that a student was made of.

    Attributes:
        role: `student`, `teacher` or `data`.
        reference: as params.yaml has it, or a package's name.
        revision: the pinned commit of a repository.
        kind: of a repository.
    """

    role: str
    reference: str
    revision: str | None
    kind: Kind


def sources(params: Params, track: str) -> list[Source]:
    """What a track's student was made of, each once: an adapted teacher is what it was made of."""
    block, found = params.track(track), list[Source]()
    adapted = f"path:{paths.TEACHERS / track}"
    for role, models in (("student", [block.student]), ("teacher", block.teacher.members)):
        for model in models:
            at = block.adapt.student if block.adapt and model.model == adapted else model
            found.append(Source(role, at.model, at.revision, "model"))
    if block.adapt:
        found += (Source("teacher", each.model, each.revision, "model") for each in block.adapt.teacher.members)
    for dataset in (params.datasets[name] for name in trained_on(params, track)):
        if dataset.packages:
            found += (Source("data", f"package:{name}", None, "dataset") for name in dataset.packages)
        else:
            found.append(Source("data", dataset.source, dataset.revision, "dataset"))
    if block.mine and (corpus := block.mine.corpus):
        named = corpus if corpus.startswith(("path:", "package:")) else f"path:{paths.OWN / corpus}"
        found.append(Source("data", named, None, "dataset"))
    return list(dict.fromkeys(found))


def trained_on(params: Params, track: str) -> list[str]:
    """The data sets that a track's training sees, of a union its members."""
    block = params.track(track)
    learnt = [block.in_domain, *([block.guard] if block.guard and block.replay else [])]
    return [member for name in learnt for member in params.members(name)]


def licence_of(source: Source) -> str | None:
    """The licence as the hub names it, in lower case, of a repository, a package or a folder with a card; else None.

    A hub that does not answer within ten seconds, or does not know, gives None.
    """
    scheme, _, name = source.reference.partition(":")
    if scheme == "package":
        return _of_package(name.partition("/")[0])
    if scheme == "hub":
        return _of_repository(name, source)
    card = Path(name) / "README.md"
    if scheme != "path" or not card.is_file():
        return None
    content: Any = ModelCard.load(card, ignore_metadata_errors=True)
    return _named(content.data.to_dict().get("license"))


def conflicts(licences: Sequence[tuple[Source, str | None]], chosen: str | None) -> Iterator[str]:
    """What stands against publishing under `chosen`, or under none: a sentence for each source to think about."""
    for source, licence in licences:
        of = f"{source.role} {source.reference}"
        if licence is None:
            yield f"{of}: its licence is not known; find out before you publish"
        elif NON_COMMERCIAL.search(licence):
            if chosen is None or not NON_COMMERCIAL.search(chosen):
                yield f"{of}: {licence} allows no commercial use, and {chosen or 'no licence'} does not say so"
        elif SHARE_ALIKE.search(licence):
            if licence != chosen:
                yield f"{of}: {licence} may want what is made of it under itself, and not under {chosen or 'none'}"
        elif not FREE.fullmatch(licence):
            yield f"{of}: {licence} has terms of its own; read them before you publish"


def _named(licence: str | Sequence[str] | None) -> str | None:
    text = licence if isinstance(licence, str) or licence is None else " and ".join(licence)
    return SPELLED.get(text.lower(), text.lower()) if text and text.lower() != "unknown" else None


def _of_package(name: str) -> str | None:
    try:
        distributions = importlib.metadata.packages_distributions().get(name, [name])
        metadata = importlib.metadata.metadata(distributions[0])
    except importlib.metadata.PackageNotFoundError:
        return None
    if "License-Expression" in metadata:
        return _named(metadata["License-Expression"])
    classified = [each.rpartition(" :: ")[2] for each in metadata.get_all("Classifier") or [] if "License ::" in each]
    text = metadata["License"].strip() if "License" in metadata else ""
    return _named(classified[0] if classified else text if "\n" not in text else None)


def _of_repository(name: str, source: Source) -> str | None:
    hub = HfApi()
    ask = hub.dataset_info if source.kind == "dataset" else hub.model_info
    try:
        card: Any = ask(name, revision=source.revision, timeout=ASKED).card_data
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx2.HTTPError, httpx2.InvalidURL, OSError):
        return None
    return _named(card.to_dict().get("license")) if card else None
