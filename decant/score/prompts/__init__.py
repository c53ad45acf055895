"""The token ids that a teacher reads, built in this one place for every engine.

A document that is too long is cut, at the limit and to the token. A query, an instruct and what a template puts after
the document never are: a query that leaves no room is refused before anything is scored.
"""

from pathlib import Path

from decant.score.prompts.base import Item, Prompt, Prompts
from decant.score.prompts.embedding import EmbeddingPrompts
from decant.score.prompts.pairs import CrossEncoderPrompts, RerankerPrompts
from decant.score.prompts.templates import TEMPLATES
from decant.score.settings import Teacher

__all__ = [
    "CrossEncoderPrompts",
    "EmbeddingPrompts",
    "Item",
    "Prompt",
    "Prompts",
    "RerankerPrompts",
    "make_prompts",
    "reranker_prompts",
]


def make_prompts(teacher: Teacher, folder: Path) -> Prompts:
    """What builds the prompts of a teacher, by its kind; the folder may lack the model's weights."""
    code = teacher.trust_remote_code
    if teacher.kind == "bi_encoder":
        return EmbeddingPrompts(folder, teacher.max_length, teacher.query_prompt, teacher.document_prompt, code)
    if teacher.kind == "cross_encoder":
        return CrossEncoderPrompts(folder, teacher.max_length, code)
    return reranker_prompts(teacher, folder)


def reranker_prompts(teacher: Teacher, folder: Path) -> RerankerPrompts:
    """What builds the prompts of a causal_lm by its template.

    Raises:
        DecantError: an answer of the template is not one token of the model's.
    """
    template = TEMPLATES[teacher.template or "qwen3"]
    return RerankerPrompts(folder, teacher.max_length, teacher.trust_remote_code, template)
