"""The token ids that a teacher reads, built in this one place for every engine.

A document that is too long is cut, at the limit and to the token. A query, an instruct and what a template puts after
the document never are: a query that leaves no room is refused before anything is scored.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer

from decant.errors import DecantError
from decant.files import read_json
from decant.models import positions

DOCUMENT_PROMPT_NAMES = ("document", "passage", "corpus")

# The template of Qwen3-Reranker, from its model card (https://huggingface.co/Qwen/Qwen3-Reranker-8B).
SYSTEM = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)
PREFIX = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
DEFAULT_TASK = "Given a web search query, retrieve relevant passages that answer the query"
YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model reads in one go.

    Args:
        ids: the token ids, special tokens included.
        second: where the second segment begins, for models with token types; len(ids) where there is none.
        texts: the prompted text, or query and document, as far as `ids` hold them: for servers that take text only.
    """

    ids: list[int]
    second: int
    texts: tuple[str, ...]


class Prompts:
    """Builds the prompts of one kind of teacher.

    Args:
        folder: of the model.
        max_length: tokens at most; the model's own limit where that is lower.
        trust_remote_code: whether a tokenizer's code that lies in the folder may run.
    """

    def __init__(self, folder: Path, max_length: int, trust_remote_code: bool = False) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(
            str(folder), trust_remote_code=trust_remote_code, local_files_only=True
        )
        self.max_length = min(max_length, own_limit(folder, trust_remote_code))

    def _ids(self, texts: Sequence[str], *more: Sequence[str], **options: Any) -> Any:
        return self.tokenizer(list(texts), *map(list, more), return_attention_mask=False, verbose=False, **options)

    def parts(self, query: str, document: str, task: str) -> dict[str, Prompt]:
        """All that the model reads of one pair, by name."""
        raise NotImplementedError

    def rendered(self, query: str, document: str, task: str) -> dict[str, Any]:
        """One pair as the model reads it, special tokens included, and its length in tokens."""
        return {
            name: {"text": self.tokenizer.decode(prompt.ids), "tokens": len(prompt.ids)}
            for name, prompt in self.parts(query, document, task).items()
        }

    def _cut(self, text: str, room: int) -> str:
        """As much of the beginning of a text as its first `room` tokens cover."""
        spans = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ends = [end for _, end in spans["offset_mapping"]]
        return text if len(ends) <= room else text[: ends[room - 1]]

    def _refuse_long(self, queries: Sequence[str], lengths: Sequence[int], room: int) -> None:
        if long := [index for index, length in enumerate(lengths) if length > room]:
            first = max(long, key=lambda index: lengths[index])
            raise DecantError(
                f"{len(long)} of {len(queries)} queries leave no room for a document within {self.max_length} tokens; "
                f"the longest takes {lengths[first] - room} too many: {queries[first][:60]!r}",
                "raise teacher.max_length as far as the model's own limit, or shorten these queries: "
                "a query is never cut",
            )


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
        self._refuse_long(texts, [len(row) for row in ids], self.max_length)
        return [Prompt(row, len(row), (text,)) for row, text in zip(ids, prompted, strict=True)]

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

    def parts(self, query: str, document: str, task: str) -> dict[str, Prompt]:
        """See `Prompts.parts`."""
        return {"query": self.queries([query], task)[0], "document": self.documents([document])[0]}


class OfPairs(Prompts):
    """Prompts of models that read query and document together."""

    def pairs(self, queries: Sequence[str], documents: Sequence[str], task: str) -> list[Prompt]:
        """The prompts of pairs.

        Raises:
            DecantError: a query leaves no room for a document.
        """
        raise NotImplementedError

    def parts(self, query: str, document: str, task: str) -> dict[str, Prompt]:
        """See `Prompts.parts`."""
        return {"pair": self.pairs([query], [document], task)[0]}


class CrossEncoderPrompts(OfPairs):
    """Query and document of a cross-encoder, with the special tokens of its tokenizer; the task has no place there."""

    def pairs(self, queries: Sequence[str], documents: Sequence[str], task: str) -> list[Prompt]:
        """See `OfPairs.pairs`."""
        del task
        if not queries:
            return []
        unique = list(dict.fromkeys(queries))
        room = self.max_length - self.tokenizer.num_special_tokens_to_add(pair=True)
        lengths = [len(row) for row in self._ids(unique, add_special_tokens=False)["input_ids"]]
        self._refuse_long(unique, lengths, room - 1)
        left = dict(zip(unique, lengths, strict=True))
        encoded = self._ids(
            queries, documents, truncation="only_second", max_length=self.max_length, return_token_type_ids=True
        )
        typed = "token_type_ids" in self.tokenizer.model_input_names
        prompts = []
        for ids, types, query, document in zip(
            encoded["input_ids"], encoded["token_type_ids"], queries, documents, strict=True
        ):
            second = types.index(1) if typed and 1 in types else len(ids)
            if len(ids) == self.max_length:
                document = self._cut(document, room - left[query])
            prompts.append(Prompt(ids, second, (query, document)))
        return prompts


class RerankerPrompts(OfPairs):
    """The full template of Qwen3-Reranker, which a causal language model answers with yes or no.

    Texts cannot forge the template: its special tokens, where they stand in a query, document or task, are read as
    the characters that they are written with.
    """

    def __init__(self, folder: Path, max_length: int, trust_remote_code: bool = False) -> None:
        super().__init__(folder, max_length, trust_remote_code)
        self.prefix: list[int] = self.tokenizer.encode(PREFIX, add_special_tokens=False)
        self.suffix: list[int] = self.tokenizer.encode(SUFFIX, add_special_tokens=False)
        self.plain = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        self.plain.encode_special_tokens = True
        self.plain.no_truncation()
        self.plain.no_padding()
        self.yes, self.no = (self._answer(word) for word in (YES, NO))

    def _answer(self, word: str) -> int:
        ids: list[int] = self.tokenizer.encode(word, add_special_tokens=False)
        if len(ids) != 1 or ids[0] == self.tokenizer.unk_token_id:
            raise DecantError(
                f"the tokenizer reads the answer {word!r} as the tokens {ids}, and it must be one token",
                "a causal_lm teacher must answer with the single tokens yes and no: choose another model",
            )
        return ids[0]

    def pairs(self, queries: Sequence[str], documents: Sequence[str], task: str) -> list[Prompt]:
        """See `OfPairs.pairs`."""
        if not queries:
            return []
        room = self.max_length - len(self.prefix) - len(self.suffix)
        unique = list(dict.fromkeys(queries))
        heads = self._encode([body(task, query, "") for query in unique])
        # The space that ends a head joins the document's first word, so that a head of its own counts one token more.
        self._refuse_long(unique, [len(ids) for ids in heads], room)
        prompts = []
        for query, document, ids in zip(
            queries, documents, self._encode(map(body, [task] * len(queries), queries, documents)), strict=True
        ):
            prompt = [*self.prefix, *ids[:room], *self.suffix]
            prompts.append(Prompt(prompt, len(prompt), (query, document)))
        return prompts

    def _encode(self, texts: Iterable[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.plain.encode_batch_fast(list(texts), add_special_tokens=False)]


def body(task: str, query: str, document: str) -> str:
    """The user's turn in the template of Qwen3-Reranker."""
    return f"<Instruct>: {task or DEFAULT_TASK}\n<Query>: {query}\n<Document>: {document}"


def choose_prompts(own: dict[str, str], query_prompt: str | None, document_prompt: str | None) -> tuple[str, str]:
    """The prompts to use: those given, or the model's own, found as `encode_query` and `encode_document` find them."""
    if query_prompt is None:
        query_prompt = own.get("query") or ""
    if document_prompt is None:
        document_prompt = next((own[name] for name in DOCUMENT_PROMPT_NAMES if name in own), None) or ""
    return query_prompt, document_prompt


def own_limit(folder: Path, trust_remote_code: bool = False) -> int:
    """The longest text in tokens that a model takes: it has positions for it, and its authors meant it to read it."""
    config: Any = AutoConfig.from_pretrained(str(folder), trust_remote_code=trust_remote_code, local_files_only=True)
    limit = positions(config)
    described = folder / "sentence_bert_config.json"
    meant = read_json(described).get("max_seq_length") if described.is_file() else None
    return limit if meant is None else min(limit, meant)
