"""What bi-encoders read: queries and documents, each with a prompt before it."""

from collections.abc import Sequence
from pathlib import Path

from decant.errors import DecantError
from decant.files import read_json
from decant.models.prompts import choose_prompts
from decant.score.prompts.base import Item, Prompt, Prompts, Reading


class EmbeddingPrompts(Prompts):
    """Query and document of a bi-encoder, each with its prompt before it: for Qwen3-Embedding
    `Instruct: {task}\\nQuery:{query}`, documents bare.

    Args:
        folder: of the model.
        max_length: tokens at most.
        query_prompt: goes before each query, `{task}` filled in; None means the model's own.
        document_prompt: goes before each document; None means the model's own.
        trust_remote_code: see `Prompts`.
    """

    of_texts = True

    def __init__(
        self,
        folder: Path,
        max_length: int,
        query_prompt: str | None,
        document_prompt: str | None,
        trust_remote_code: bool = False,
    ) -> None:
        super().__init__(folder, max_length, trust_remote_code)
        described = folder / "config_sentence_transformers.json"
        own = read_json(described).get("prompts", {}) if described.is_file() else {}
        self.query_prompt, self.document_prompt = choose_prompts(own, query_prompt, document_prompt)

    def queries(self, texts: Sequence[str], task: str) -> list[Prompt]:
        """The prompts of queries.

        Raises:
            DecantError: one is longer than the limit.
        """
        prompted = [self.query_prompt.replace("{task}", task) + text for text in texts]
        ids = self._ids(prompted)["input_ids"] if prompted else []
        if any(len(row) > self.max_length for row in ids):
            self.refuse_long(texts, task)
        return [Prompt(row, len(row), (text,)) for row, text in zip(ids, prompted, strict=True)]

    def excess(self, queries: Sequence[str], task: str) -> list[int]:
        """See `Prompts.excess`; there must be room for the query itself."""
        prompt = self.query_prompt.replace("{task}", task)
        ids = self._ids([prompt + text for text in queries])["input_ids"] if queries else []
        return [max(0, len(row) - self.max_length) for row in ids]

    def contexts(self, task: str) -> tuple[str, str]:
        """See `Prompts.contexts`."""
        return self.query_prompt.replace("{task}", task), self.document_prompt

    def described(self) -> dict[str, str]:
        """See `Prompts.described`."""
        return {"query": self.query_prompt, "document": self.document_prompt}

    def documents(self, texts: Sequence[str]) -> list[Prompt]:
        """The prompts of documents, cut at the limit.

        Raises:
            DecantError: the document prompt alone reaches the limit.
        """
        prompted = [self.document_prompt + text for text in texts]
        if not prompted:
            return []
        if len(self._ids([self.document_prompt])["input_ids"][0]) > self.max_length:
            raise DecantError(
                f"the document prompt alone exceeds {self.max_length} tokens", "shorten it, or raise teacher.max_length"
            )
        ids = self._ids(prompted, truncation=True, max_length=self.max_length)["input_ids"]
        return [
            Prompt(row, len(row), (text if len(row) < self.max_length else self._shorten(text),))
            for row, text in zip(ids, prompted, strict=True)
        ]

    def _shorten(self, text: str) -> str:
        room = self.max_length - self.tokenizer.num_special_tokens_to_add(pair=False)
        return self._cut(text, room)

    def distinct(self, queries: Sequence[str], candidates: Sequence[str], task: str) -> Reading:
        """See `Prompts.distinct`; a text that is both query and candidate under one prompt is read once."""
        self.refuse_long(list(dict.fromkeys(queries)), task)
        prompts = dict(zip(("query", "document"), self.contexts(task), strict=True))
        number: dict[str, int] = {}
        items: list[Item] = []

        def number_of(role: str, text: str) -> int:
            found = number.setdefault(prompts[role] + text, len(items))
            if found == len(items):
                items.append((role, text))
            return found

        left = [number_of("query", text) for text in queries]
        return Reading(items, left, [number_of("document", text) for text in candidates])

    def build(self, items: Sequence[Item], task: str) -> list[Prompt]:
        """See `Prompts.build`."""
        queries = iter(self.queries([text for role, text in items if role == "query"], task))
        documents = iter(self.documents([text for role, text in items if role == "document"]))
        return [next(queries if role == "query" else documents) for role, _ in items]

    def parts(self, query: str, document: str, task: str) -> dict[str, Prompt]:
        """See `Prompts.parts`."""
        return {"query": self.queries([query], task)[0], "document": self.documents([document])[0]}
