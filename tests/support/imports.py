"""The imports of the project's modules, read from their source: at module level, in functions, and for types."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.project import ROOT


@cache
def modules() -> dict[str, Path]:
    """Every module of `decant` and `stages`, by its dotted name."""
    found = {}
    for package in ("decant", "stages"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def imports_of(module: str) -> frozenset[str]:
    """The project's modules that a module imports, itself left out."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    return frozenset(name for node in ast.walk(tree) for name in _named(node)) & modules().keys() - {module}


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield whole if whole in modules() else node.module


def room_of(module: str) -> str:
    """The room that a module lies in; of the ground floor its own name, of a stage "stages"."""
    parts = module.split(".")
    return parts[0] if parts[0] == "stages" or len(parts) == 1 else parts[1]
