"""`package:import_name/sub/path`: files that an installed Python package ships."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from decant.errors import DecantError
from decant.sources import Kind


def find(reference: str, revision: str, kind: Kind, patterns: Sequence[str]) -> Path:
    """See `decant.sources.references.Find`."""
    del revision, kind, patterns
    import_name, _, inside = reference.removeprefix("package:").partition("/")
    try:
        spec = importlib.util.find_spec(import_name) if import_name.isidentifier() else None
    except ValueError:  # of `__main__` where a command runs that is no module
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise DecantError(
            f"{reference}: no package `{import_name}` is installed", "run `make install`, or correct the reference"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / inside
    if not path.exists():
        raise DecantError(f"{reference}: the package ships no {inside}", "install the version that params.yaml names")
    return path
