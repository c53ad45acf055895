"""Where models and data come from. A new scheme is one module here and one line in `SCHEMES`."""

from typing import Literal, NamedTuple

Kind = Literal["model", "dataset"]


class Scheme(NamedTuple):
    """What a reference may begin with."""

    module: str  # with its function `find`: see `decant.sources.references.Find`
    pinned: bool  # whether a reference names a repository, which needs a commit


SCHEMES = {
    "package": Scheme("decant.sources.package", pinned=False),
    "path": Scheme("decant.sources.path", pinned=False),
    "hub": Scheme("decant.sources.hub", pinned=True),
    "modelscope": Scheme("decant.sources.modelscope", pinned=True),
}
