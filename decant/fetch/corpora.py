"""The corpus that a set's source has beside its splits."""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, cast

from decant.data.corpus import write_corpus
from decant.fetch.readers import FORMATS, ranked
from decant.fetch.reading import format_of
from decant.fetch.settings import DataSet
from decant.files import sha256


class ReadCorpus(Protocol):
    """The function `corpus` of a format's module, which a format without a corpus lacks."""

    def __call__(self, root: Path, settings: DataSet) -> Iterable[tuple[str, str]]:
        """The id, "" for none, and the text of each document."""


def fetch_corpus(settings: DataSet, root: Path, path: Path, *, repository: bool) -> dict[str, Any] | None:
    """Write the corpus of a set's source, and return what the card says of it; None where there is none.

    Args:
        settings: of the set. A file of rows has the corpus that `corpus` names.
        root: the source's file or folder.
        path: of the file to write.
        repository: whether the root is a hub's repository.
    """
    documents = _documents(settings, root, repository)
    if documents is None:
        return None
    return {"texts": write_corpus(path, documents), "sha256": sha256(path)}


def _documents(settings: DataSet, root: Path, repository: bool) -> Iterable[tuple[str, str]] | None:
    name = format_of(settings, root, str(settings.train), repository=repository)
    module = importlib.import_module(FORMATS[name].module)
    if hasattr(module, "corpus"):
        return cast(ReadCorpus, module.corpus)(root, settings)
    if settings.corpus is None:
        return None
    folder = root.parent if root.is_file() else root
    return ranked.texts_of(folder / settings.corpus, encoding=settings.encoding).items()
