"""Set formats by name. A new one is one module here, or in `decant.fetch.embedded`, and one entry in `FORMATS`."""

from typing import NamedTuple


class Format(NamedTuple):
    """What params must know of a format."""

    module: str  # with its function `read` or, of an embedded set, `build`: see `decant.fetch.build.Read` and `Build`
    embedded: bool = False  # whether the set is built from an installed package, in the sizes that params ask for


FORMATS = {
    "rows": Format("decant.fetch.readers.rows"),
    "beir": Format("decant.fetch.readers.beir"),
    "mteb": Format("decant.fetch.readers.mteb"),
    "icd10": Format("decant.fetch.embedded.icd10", embedded=True),
    "pydocs": Format("decant.fetch.embedded.pydocs", embedded=True),
    "cwe": Format("decant.fetch.embedded.cwe", embedded=True),
}
