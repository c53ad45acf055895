"""What models read that take query and document together: cross-encoders, and causal language models as rerankers."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from decant.errors import DecantError
from decant.score.prompts.base import Item, Prompt, Prompts
from decant.score.prompts.templates import QWEN3, Template


class CrossEncoderPrompts(Prompts):
    """Query and document of a cross-encoder, with the special tokens of its tokenizer; the task has no place there."""

    def build(self, items: Sequence[Item], task: str) -> list[Prompt]:
        """See `Prompts.build`."""
        if not items:
            return []
        queries, documents = map(list, zip(*items, strict=True))
        unique = list(dict.fromkeys(queries))
        left = dict(zip(unique, self._lengths(unique), strict=True))
        if max(left.values()) >= self._room():
            self.refuse_long(unique, task)
        cut = {"truncation": "only_second", "max_length": self.max_length, "return_token_type_ids": True}
        encoded = self.tokenizer(queries, documents, return_attention_mask=False, verbose=False, **cut)
        typed = "token_type_ids" in self.tokenizer.model_input_names
        prompts = []
        rows = zip(encoded["input_ids"], encoded["token_type_ids"], items, strict=True)
        for ids, types, (query, document) in rows:
            second = types.index(1) if typed and 1 in types else len(ids)
            if len(ids) == self.max_length:
                document = self._cut(document, self._room() - left[query])
            prompts.append(Prompt(ids, second, (query, document)))
        return prompts

    def excess(self, queries: Sequence[str], task: str) -> list[int]:
        """See `Prompts.excess`; a document has one token at least."""
        del task
        return [max(0, length - self._room() + 1) for length in self._lengths(queries)]

    def lengths(self, role: str, texts: Sequence[str], task: str) -> list[int]:
        """See `Prompts.lengths`; special tokens are counted with the query."""
        del task
        special = self.max_length - self._room() if role == "query" else 0
        return [length + special for length in self._lengths(texts)]

    def _room(self) -> int:
        return self.max_length - int(self.tokenizer.num_special_tokens_to_add(pair=True))

    def _lengths(self, queries: Sequence[str]) -> list[int]:
        return [len(row) for row in self._ids(queries, add_special_tokens=False)]


class RerankerPrompts(Prompts):
    """The full template of a reranker, which a causal language model answers with yes or no.

    Texts cannot forge the template: its special tokens, where they stand in a query, document or task, are read as
    the characters that they are written with.

    Attributes:
        yes: the token of the answer whose logit is the score.
        no: the token of the answer whose logit is taken off it; None where none is.
    """

    def __init__(
        self, folder: Path, max_length: int, trust_remote_code: bool = False, template: Template = QWEN3
    ) -> None:
        super().__init__(folder, max_length, trust_remote_code)
        self.template, self.described = template, template.described()
        first = self.tokenizer.bos_token_id if template.starts else None
        start = [] if first in (None, self.tokenizer.pad_token_id) else [first]
        self.prefix: list[int] = start + self._fixed([template.prefix])
        self.suffix: list[int] = self._fixed(template.suffix)
        self.plain = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        self.plain.encode_special_tokens = True
        self.plain.no_truncation()
        self.plain.no_padding()
        self.yes = self._answer(template.yes)
        self.no = None if template.no is None else self._answer(template.no)

    def _fixed(self, texts: Sequence[str]) -> list[int]:
        return [token for text in texts for token in self.tokenizer.encode(text, add_special_tokens=False)]

    def _answer(self, word: str) -> int:
        ids: list[int] = self.tokenizer.encode(word, add_special_tokens=False)
        if len(ids) != 1 or ids[0] == self.tokenizer.unk_token_id:
            answers = " and ".join(filter(None, (self.template.yes, self.template.no)))
            raise DecantError(
                f"the tokenizer reads the answer {word!r} as the tokens {ids}, and it must be one token",
                f"the single tokens of this teacher.template are {answers}: choose the template of the model, or "
                "another model",
            )
        return ids[0]

    def build(self, items: Sequence[Item], task: str) -> list[Prompt]:
        """See `Prompts.build`."""
        room = self._room()
        bodies = self._bodies(task, items)
        if any(len(ids) > room for ids in bodies):  # a query without room makes its pair too long, too
            self.refuse_long(list(dict.fromkeys(query for query, _ in items)), task)
        prompts = ([*self.prefix, *ids[:room], *self.suffix] for ids in bodies)
        return [Prompt(prompt, len(prompt), item) for prompt, item in zip(prompts, items, strict=True)]

    def excess(self, queries: Sequence[str], task: str) -> list[int]:
        """See `Prompts.excess`."""
        # The space that ends a head joins the document's first word, so that a head of its own counts one token more.
        heads = self._bodies(task, [(query, "") for query in queries])
        return [max(0, len(ids) - self._room()) for ids in heads]

    def lengths(self, role: str, texts: Sequence[str], task: str) -> list[int]:
        """See `Prompts.lengths`; the template is counted with the query.

        Where one text of the template holds both, it is cut in two behind the colon that ends its head, because a word
        begins with the space before it.
        """
        *before, last = self.template.body
        if role == "document":
            head = " " if "{query}" in last else last.removesuffix("{document}")
            return list(map(len, self._encode([head + text for text in texts])))
        if "{query}" in last:
            parts = [[self.template.texts(task, query, "")[0].removesuffix(" ")] for query in texts]
        else:
            parts = [self.template.texts(task, query, "")[: len(before)] for query in texts]
        return [len(ids) + self.max_length - self._room() for ids in self._joined(parts)]

    def contexts(self, task: str) -> tuple[str, str]:
        """See `Prompts.contexts`."""
        return self.template.task(task), ""

    def _room(self) -> int:
        return self.max_length - len(self.prefix) - len(self.suffix)

    def _bodies(self, task: str, items: Sequence[Item]) -> list[list[int]]:
        return self._joined([self.template.texts(task, query, document) for query, document in items])

    def _joined(self, parts: Sequence[Sequence[str]]) -> list[list[int]]:
        """The ids of each pair's texts, one after another."""
        ids = iter(self._encode([text for texts in parts for text in texts]))
        return [[token for _ in texts for token in next(ids)] for texts in parts]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.plain.encode_batch_fast(texts, add_special_tokens=False)]
