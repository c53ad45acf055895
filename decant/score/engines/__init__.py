"""Engines run teachers. A new engine is one module here and one entry in `ENGINES`.

An engine is a module with a function `load`; see `decant.score.engines.base`. What a model reads is decided before, in
`decant.score.prompts`: every engine of one kind gets the same token ids, and gives the same raw scores.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Engine(NamedTuple):
    """What params may ask of an engine.

    Args:
        module: with the function `load`.
        kinds: of teachers that it can score.
        tensor_parallel: whether several GPUs can share one model.
        apis: of an engine behind HTTP: kind of teacher → what its server may speak.
        own_version: whether the module has a function `version`; else the package of the engine's name has one.
    """

    module: str
    kinds: tuple[str, ...]
    tensor_parallel: bool = False
    apis: Mapping[str, tuple[str, ...]] = {}
    own_version: bool = False


ALL_KINDS = ("bi_encoder", "cross_encoder", "causal_lm")
SERVER_APIS = {"bi_encoder": ("openai", "vllm", "tei"), "cross_encoder": ("vllm", "tei"), "causal_lm": ("vllm",)}

ENGINES = {
    "sentence-transformers": Engine("decant.score.engines.sentence_transformers", ("bi_encoder", "cross_encoder")),
    "transformers": Engine("decant.score.engines.transformers", ("causal_lm",)),
    "vllm": Engine("decant.score.engines.vllm", ALL_KINDS, tensor_parallel=True, own_version=True),
    "server": Engine("decant.score.engines.server", ALL_KINDS, apis=SERVER_APIS, own_version=True),
}
# The plain library of each kind, which other engines' scores are compared with.
REFERENCE = {
    "bi_encoder": "sentence-transformers",
    "cross_encoder": "sentence-transformers",
    "causal_lm": "transformers",
}
