"""Where models and data come from. A new scheme is one module here and one line in `SCHEMES`.

Such a module has a function `find`; see `decant.sources.references.Find`.
"""

from typing import NamedTuple


class Scheme(NamedTuple):
    """What a reference may begin with.

    Args:
        module: that finds what is named.
        pinned: whether a reference needs a commit beside it.
    """

    module: str
    pinned: bool


SCHEMES = {
    "package": Scheme("decant.sources.package", pinned=False),
    "path": Scheme("decant.sources.path", pinned=False),
    "hub": Scheme("decant.sources.hub", pinned=True),
    "modelscope": Scheme("decant.sources.modelscope", pinned=True),
}
