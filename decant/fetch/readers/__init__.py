"""Set formats by name. A new one is one module here, or in `decant.fetch.embedded`, and one entry in `FORMATS`.

A layout of rows is one module in `decant.fetch.layouts`, and one entry there.
"""

from typing import NamedTuple

from decant.fetch.layouts import LAYOUTS


class Format(NamedTuple):
    """What params must know of a format."""

    module: str  # with its function `read` or, of an embedded set, `build`: see `decant.fetch.build.Read` and `Build`
    embedded: bool = False  # whether the set is built from an installed package, in the sizes that params ask for
    layout: str | None = None  # of rows, a name in `decant.fetch.layouts.LAYOUTS`; None finds it out
    rows: bool = True  # whether `read` gives rows as they stand, of which a layout makes queries and candidates


ROWS = "decant.fetch.readers.rows"
FORMATS = {
    "auto": Format(ROWS),
    **{name: Format(ROWS, layout=name) for name in LAYOUTS},
    "beir": Format("decant.fetch.readers.beir", rows=False),
    "mteb": Format("decant.fetch.readers.mteb", rows=False),
    "icd10": Format("decant.fetch.embedded.icd10", embedded=True),
    "pydocs": Format("decant.fetch.embedded.pydocs", embedded=True),
    "cwe": Format("decant.fetch.embedded.cwe", embedded=True),
}
