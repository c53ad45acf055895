"""Layouts of rows by name. A new one is one module here and one line in `LAYOUTS`."""

from typing import NamedTuple


class Layout(NamedTuple):
    """Where a layout's module is; see `decant.fetch.layouts.given.LayoutModule` for what it offers."""

    module: str


# In the order of detection: the first layout whose columns match is taken, so the most general one stands last.
LAYOUTS = {
    "tevatron": Layout("decant.fetch.layouts.tevatron"),
    "dpr": Layout("decant.fetch.layouts.dpr"),
    "swift": Layout("decant.fetch.layouts.swift"),
    "nemo": Layout("decant.fetch.layouts.nemo"),
    "gpl": Layout("decant.fetch.layouts.gpl"),
    "flagembedding": Layout("decant.fetch.layouts.flagembedding"),
    "labelled_pairs": Layout("decant.fetch.layouts.labelled_pairs"),
    "scored_pairs": Layout("decant.fetch.layouts.scored_pairs"),
    "sentence_transformers": Layout("decant.fetch.layouts.sentence_transformers"),
    "rows": Layout("decant.fetch.layouts.rows"),
}
