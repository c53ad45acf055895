"""What bi-encoders read: queries and documents, each with a prompt before it."""

from collections.abc import Sequence
from pathlib import Path

from decant.data.sets import Task
from decant.errors import DecantError
from decant.files import read_json
from decant.models.prompts import choose_prompts
from decant.score.prompts.base import Item, Prompt, Prompts


class EmbeddingPrompts(Prompts):
    """Query and document of a bi-encoder, each with its prompt before it: for Qwen3-Embedding
    `Instruct: {task}\\nQuery:{query}`, documents bare. A prompt that is None means the model's own.
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
        path = folder / "config_sentence_transformers.json"
        own = read_json(path).get("prompts", {}) if path.is_file() else {}
        self.query_prompt, self.document_prompt = choose_prompts(own, query_prompt, document_prompt)
        self._has_none = query_prompt is None and not own.get("query")
        self.described = {"query": self.query_prompt, "document": self.document_prompt}

    def contexts(self, task: str) -> tuple[str, str]:
        """See `Prompts.contexts`. A prompt that came with the data stands in for one that the model does not have."""
        if self._has_none and isinstance(task, Task):
            return task.prompt, self.document_prompt
        return self.query_prompt.replace("{task}", task), self.document_prompt

    def excess(self, queries: Sequence[str], task: str) -> list[int]:
        """See `Prompts.excess`; there must be room for the query itself."""
        return [max(0, length - self.max_length) for length in self.lengths("query", queries, task)]

    def lengths(self, role: str, texts: Sequence[str], task: str) -> list[int]:
        """See `Prompts.lengths`."""
        prompt = dict(zip(("query", "document"), self.contexts(task), strict=True))[role]
        return list(map(len, self._ids([prompt + text for text in texts])))

    def build(self, items: Sequence[Item], task: str) -> list[Prompt]:
        """See `Prompts.build`."""
        queries = iter(self.queries([text for role, text in items if role == "query"], task))
        documents = iter(self.documents([text for role, text in items if role == "document"]))
        return [next(queries if role == "query" else documents) for role, _ in items]

    def queries(self, texts: Sequence[str], task: str) -> list[Prompt]:
        """The prompts of queries; a DecantError where one is longer than the limit."""
        prompt, _ = self.contexts(task)
        prompted = [prompt + text for text in texts]
        ids = self._ids(prompted)
        if any(len(row) > self.max_length for row in ids):
            self.refuse_long(texts, task)
        return [Prompt(row, len(row), (text,)) for row, text in zip(ids, prompted, strict=True)]

    def documents(self, texts: Sequence[str]) -> list[Prompt]:
        """The prompts of documents, cut at the limit; a DecantError where the document prompt alone exceeds it."""
        if texts and len(self._ids([self.document_prompt])[0]) > self.max_length:
            raise DecantError(
                f"the document prompt alone exceeds {self.max_length} tokens", "shorten it, or raise teacher.max_length"
            )
        prompted = [self.document_prompt + text for text in texts]
        room = self.max_length - self.tokenizer.num_special_tokens_to_add(pair=False)
        return [
            Prompt(row, len(row), (text if len(row) < self.max_length else self._cut(text, room),))
            for row, text in zip(
                self._ids(prompted, truncation=True, max_length=self.max_length), prompted, strict=True
            )
        ]
