"""The prompts that stand before the texts of a bi-encoder."""

from collections.abc import Mapping

DOCUMENT_PROMPT_NAMES = ("document", "passage", "corpus")


def choose_prompts(
    own: Mapping[str, str], query_prompt: str | None = None, document_prompt: str | None = None
) -> tuple[str, str]:
    """The prompts before queries and before documents: those given, or the model's own.

    The own ones are found as `encode_query` and `encode_document` of sentence-transformers find them.
    """
    if query_prompt is None:
        query_prompt = own.get("query") or ""
    if document_prompt is None:
        document_prompt = next((own[name] for name in DOCUMENT_PROMPT_NAMES if name in own), None) or ""
    return query_prompt, document_prompt
