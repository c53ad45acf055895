"""The token ids that a teacher reads, built in this one place for every engine.

A document that is too long is cut, at the limit and to the token. A query, an instruct and what a template puts after
the document never are: a query that leaves no room is refused before anything is scored.
"""

from decant.models.limits import own_limit
from decant.models.scorer import choose_prompts
from decant.score.prompts.base import Item, Prompt, Prompts, Reading
from decant.score.prompts.embedding import EmbeddingPrompts
from decant.score.prompts.pairs import NO, PREFIX, SUFFIX, YES, CrossEncoderPrompts, OfPairs, RerankerPrompts

__all__ = [
    "NO",
    "PREFIX",
    "SUFFIX",
    "YES",
    "CrossEncoderPrompts",
    "EmbeddingPrompts",
    "Item",
    "OfPairs",
    "Prompt",
    "Prompts",
    "Reading",
    "RerankerPrompts",
    "choose_prompts",
    "own_limit",
]
