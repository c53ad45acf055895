"""The token ids that a teacher reads, built in this one place for every engine.

A document that is too long is cut, at the limit and to the token. A query, an instruct and what a template puts after
the document never are: a query that leaves no room is refused before anything is scored.
"""

from pathlib import Path

from decant.score.prompts.base import Item, Prompt, Prompts, Reading
from decant.score.prompts.embedding import EmbeddingPrompts
from decant.score.prompts.pairs import NO, PREFIX, SUFFIX, YES, CrossEncoderPrompts, OfPairs, RerankerPrompts
from decant.score.settings import Teacher

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
    "make_prompts",
]


def make_prompts(teacher: Teacher, folder: Path) -> Prompts:
    """What builds the prompts of a teacher, by its kind.

    Args:
        teacher: its block of params.
        folder: of the model, or of its configuration and tokenizer alone.
    """
    code = teacher.trust_remote_code
    if teacher.kind == "bi_encoder":
        return EmbeddingPrompts(folder, teacher.max_length, teacher.query_prompt, teacher.document_prompt, code)
    build = CrossEncoderPrompts if teacher.kind == "cross_encoder" else RerankerPrompts
    return build(folder, teacher.max_length, code)
