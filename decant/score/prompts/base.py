"""What all prompts share: token ids, the length limit, and each text or pair once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from decant.errors import DecantError
from decant.models.limits import own_limit
from decant.score.prompts.tokenizer import load_tokenizer


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


TOO_LONG = "raise teacher.max_length as far as the model's own limit, or shorten these queries: a query is never cut"

# What becomes one prompt: a query ("query", text), a document ("document", text), or a pair (query, document).
Item: TypeAlias = tuple[str, str]


class Prompts:
    """Builds the prompts of one kind of teacher.

    Attributes:
        of_texts: whether the model reads queries and documents apart; else it reads pairs.
        described: the prompts or the template, tasks and texts left open, that all scores depend on.
        max_length: tokens at most: what was asked for, or the model's own limit where that is lower.
    """

    of_texts = False
    described: Mapping[str, str] = {}

    def __init__(self, folder: Path, max_length: int, trust_remote_code: bool = False) -> None:
        self.tokenizer: Any = load_tokenizer(folder, trust_remote_code)
        self.max_length = min(max_length, own_limit(folder, trust_remote_code))

    def contexts(self, task: str) -> tuple[str, str]:
        """What stands before queries and before documents: equal texts in equal contexts are the same to the model."""
        del task
        return "", ""

    def excess(self, queries: Sequence[str], task: str) -> list[int]:
        """By how many tokens each query exceeds what leaves room for a document; 0 for those that do not."""
        raise NotImplementedError

    def lengths(self, role: str, texts: Sequence[str], task: str) -> list[int]:
        """The tokens of whole texts, before any cut; see `decant.models.cuts.TokensOf`."""
        raise NotImplementedError

    def build(self, items: Sequence[Item], task: str) -> list[Prompt]:
        """The prompts of items.

        Raises:
            DecantError: a query leaves no room for a document.
        """
        raise NotImplementedError

    def items(self, queries: Sequence[str], documents: Sequence[str]) -> list[Item]:
        """What the model reads of some texts, with repetitions: all queries, then all documents; or pairs."""
        if self.of_texts:
            return [*(("query", text) for text in queries), *(("document", text) for text in documents)]
        return list(zip(queries, documents, strict=True))

    def distinct(self, queries: Sequence[str], candidates: Sequence[str], task: str) -> tuple[list[Item], list[int]]:
        """What must be read to score the pairs (queries[i], candidates[i]), and of each of `items` its number therein.

        Each pair is there once, or each text: also one that is both query and candidate under one prompt.

        Raises:
            DecantError: a query leaves no room for a document.
        """
        self.refuse_long(list(dict.fromkeys(queries)), task)
        items = self.items(queries, candidates)
        prompts = dict(zip(("query", "document"), self.contexts(task), strict=True))
        keys = [prompts[role] + text for role, text in items] if self.of_texts else items
        first: dict[Any, Item] = {}
        for key, item in zip(keys, items, strict=True):
            first.setdefault(key, item)
        number = {key: place for place, key in enumerate(first)}
        return list(first.values()), [number[key] for key in keys]

    def parts(self, query: str, document: str, task: str) -> dict[str, Prompt]:
        """All that the model reads of one pair, by name."""
        names = ("query", "document") if self.of_texts else ("pair",)
        return dict(zip(names, self.build(self.items([query], [document]), task), strict=True))

    def rendered(self, query: str, document: str, task: str) -> dict[str, Any]:
        """One pair as the model reads it, special tokens included, and its length in tokens."""
        return {
            name: {"text": self.tokenizer.decode(prompt.ids), "tokens": len(prompt.ids)}
            for name, prompt in self.parts(query, document, task).items()
        }

    def refuse_long(self, queries: Sequence[str], task: str) -> None:
        """Raise a DecantError where a query leaves no room for a document."""
        excess = self.excess(queries, task)
        if any(excess):
            longest = max(excess)
            raise DecantError(
                f"{sum(map(bool, excess))} of {len(queries)} queries leave no room for a document within "
                f"{self.max_length} tokens; the longest takes {longest} too many: "
                f"{queries[excess.index(longest)][:60]!r}",
                TOO_LONG,
            )

    def _ids(self, texts: Sequence[str], **options: Any) -> list[list[int]]:
        if not texts:
            return []
        return list(self.tokenizer(list(texts), return_attention_mask=False, verbose=False, **options)["input_ids"])

    def _cut(self, text: str, room: int) -> str:
        """As much of the beginning of a text as its first `room` tokens cover, no part of a character counted."""
        spans = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        places = spans["offset_mapping"]  # tokens that are bytes of one character have its place each
        return text if len(places) <= room else text[: min(places[room - 1][1], places[room][0])]
