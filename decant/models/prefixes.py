"""Compute what texts begin with in common once, for models whose tokens read those before them alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from decant.models.packing import Layout, agree, cumulative, pack, trial_batch


@dataclass(frozen=True)
class PrefixTree:
    """Texts laid end to end, each without what it shares with an earlier one."""

    ids: list[int]  # tokens
    positions: list[int]  # of each token in its text
    own: list[int]  # tokens of each text that no earlier text has computed; at least one
    lengths: list[int]  # of each whole text
    paths: list[int]  # for each text, the rows of its whole text's tokens; shape (sum of lengths,)
    last: list[int]  # the row of each text's last token

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]]) -> "PrefixTree":
        """Of texts in an order in which each shares the most with the one before, such as the sorted one."""
        tree = cls([], [], [], [], [], [])
        path: list[int] = []
        before: Sequence[int] = ()
        for text in texts:
            shared = common(before, text)
            path = path[:shared] + list(range(len(tree.ids), len(tree.ids) + len(text) - shared))
            tree.ids.extend(text[shared:])
            tree.positions.extend(range(shared, len(text)))
            tree.own.append(len(text) - shared)
            tree.lengths.append(len(text))
            tree.paths.extend(path)
            tree.last.append(len(tree.ids) - 1)
            before = text
        return tree

    def inputs(self, device: torch.device) -> dict[str, Any]:
        """What a model that `decant.models.packing.pack` has changed takes; its output has a row a token."""
        layout = Layout(
            self.own,
            self.lengths,
            cumulative(self.own, device),
            cumulative(self.lengths, device),
            torch.tensor(self.paths, device=device),
        )
        ids, positions = (torch.tensor([each], device=device) for each in (self.ids, self.positions))
        return {"input_ids": ids, "position_ids": positions, "packed": layout}


def common(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two texts begin with in common, the last token of the right one left out."""
    limit = min(len(left), len(right) - 1)
    return next((place for place in range(limit) if left[place] != right[place]), limit)


def by_new_tokens(texts: Sequence[list[int]], budget: int) -> list[list[int]]:
    """Indices in batches, each in an order for `PrefixTree.of`.

    Args:
        texts: token ids.
        budget: tokens of a batch, without those that a text shares with the one before. A longer text is alone.
    """
    batches: list[list[int]] = []
    room = 0
    before: Sequence[int] = ()
    for index in sorted(range(len(texts)), key=lambda index: texts[index]):
        new = len(texts[index]) - common(before, texts[index])
        if not batches or new > room:
            batches.append([])
            room, new = budget, len(texts[index])
        batches[-1].append(index)
        room -= new
        before = texts[index]
    return batches


@torch.inference_mode()
def shares_prefixes(model: Any) -> bool:
    """Whether a model, packed in place where it can be, gives texts of a `PrefixTree` what it gives them alone."""
    if not pack(model):
        return False
    ids, mask = trial_batch(model)
    decoder = model.get_decoder()
    last = mask.sum(dim=1) - 1
    alone = decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[torch.arange(3), last]
    tree = PrefixTree.of([row[: int(end) + 1] for row, end in zip(ids.tolist(), last, strict=True)])
    try:
        shared = decoder(**tree.inputs(model.device), use_cache=False).last_hidden_state[0, tree.last]
    except RuntimeError:  # the device has no such kernel
        return False
    return agree(shared.float(), alone.float(), model.dtype)
