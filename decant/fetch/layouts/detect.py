"""Find out the layout of rows, and check the names that the user gives to columns."""

import importlib
from collections.abc import Iterable, Mapping
from typing import cast

from decant.errors import DecantError
from decant.fetch.layouts import LAYOUTS
from decant.fetch.layouts.columns import Seen
from decant.fetch.layouts.given import LayoutModule


def module(layout: str) -> LayoutModule:
    """The module of a layout; a DecantError where no layout has this name."""
    if layout not in LAYOUTS:
        raise DecantError(f"there is no layout {layout!r}", f"name one of {', '.join(LAYOUTS)}, or leave `layout` out")
    return cast(LayoutModule, importlib.import_module(LAYOUTS[layout].module))


def detect(seen: Seen) -> str | None:
    """The name of the first layout that columns are of; None where they are of none."""
    return next((layout for layout in LAYOUTS if module(layout).matches(seen)), None)


def renamed(columns: Mapping[str, str], layout: str | None) -> dict[str, str]:
    """The source's name of a column → Decant's, from the user's mapping, which goes the other way.

    Raises:
        DecantError: the layout (or, where none is named, every layout) lacks the name, or two names stand for a column.
    """
    check_columns(columns, layout)
    names: dict[str, str] = {}
    for name, key in columns.items():
        if key in names:
            raise DecantError(
                f"`columns` names the column `{key}` twice, as {names[key]} and as {name}", "remove one of the two"
            )
        names[key] = name
    return names


def check_columns(names: Iterable[str], layout: str | None) -> None:
    """Refuse names of columns that the layout (or, where it is None, every layout) does not use."""
    layouts = LAYOUTS if layout is None else [layout]
    all_columns = [module(name).COLUMNS for name in layouts]
    for name in names:
        if not any(columns.knows(name) for columns in all_columns):
            own = dict.fromkeys(own for columns in all_columns for own in columns.spellings)
            of_layout = f"the layout {layout}" if layout else "any layout"
            raise DecantError(
                f"`columns` names `{name}`, which is no column of {of_layout}",
                f"write {', '.join(own)}, each followed by the name that your file gives it",
            )
