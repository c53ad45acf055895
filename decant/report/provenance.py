"""Where a report comes from: versions, the machine of the stage `report`, and the params that are no defaults."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
import yaml

PACKAGES = ("decant", "torch", "transformers", "sentence-transformers", "dvc", "numpy", "pyarrow")


def provenance(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What stands in the page's last section, as pairs of a name and a text.

    Args:
        params: those that differ from their defaults, as nested mappings. Names and passwords in addresses are left
            out: the page is sent around.
    """
    shown = yaml.safe_dump(dict(params), sort_keys=False, allow_unicode=True)
    return [
        ("Python and packages", f"Python {platform.python_version()}, {', '.join(_versions())}"),
        ("machine of the stage report", _machine()),
        ("params that are not their defaults", re.sub("//[^/@\\s]*@", "//", shown)),
    ]


def _versions() -> Iterator[str]:
    for name in PACKAGES:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
            continue


def _machine() -> str:
    memory = psutil.virtual_memory().total / 1e9
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB of memory"
