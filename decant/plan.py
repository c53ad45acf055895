"""What scoring would cost, before it is paid for: texts, pairs, tokens, and the time by a short measured sample."""

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from decant.dataset import Split
from decant.engines import Forward
from decant.prompts import Item, Prompts
from decant.teachers import shards

SAMPLE = 64
WARM_UP = 8


@dataclass(frozen=True)
class SplitPlan:
    """What one file of scores takes.

    Args:
        pairs: query-candidate pairs.
        unique_texts: distinct texts among queries and candidates.
        items: what the model reads, each once.
        tokens: of these, counted by the teacher's tokenizer, prompts and templates included.
        scored: the share of the pairs whose scores exist already.
        task: of the set.
    """

    pairs: int
    unique_texts: int
    items: list[Item]
    tokens: int
    scored: float
    task: str


def plan_splits(
    prompts: Prompts, splits: Mapping[str, Split], known: Mapping[str, set[tuple[str, str]]]
) -> dict[str, SplitPlan]:
    """Count what each split takes.

    Args:
        prompts: the teacher's.
        splits: name → rows and task.
        known: name → the pairs that are scored already.

    Raises:
        DecantError: a query leaves no room for a document.
    """
    plans = {}
    for name, split in splits.items():
        pairs = [(row.query, text) for row in split.rows for text in row.candidates]
        scored = sum(pair in known.get(name, set()) for pair in pairs)
        items = prompts.distinct([query for query, _ in pairs], [text for _, text in pairs], split.task).items
        tokens = sum(len(prompt.ids) for shard in shards(items) for prompt in prompts.build(shard, split.task))
        texts = {text for pair in pairs for text in pair}
        plans[name] = SplitPlan(len(pairs), len(texts), items, tokens, scored / max(1, len(pairs)), split.task)
    return plans


def tokens_per_second(forward: Forward, prompts: Prompts, plans: Iterable[SplitPlan], seed: int) -> dict[str, float]:
    """Time an engine on a sample of what it would read, after a warm-up on another; nothing is kept."""
    items = [(item, plan.task) for plan in plans for item in plan.items]
    chosen = random.Random(seed).sample(items, min(WARM_UP + SAMPLE, len(items)))
    sample = [prompt for item, task in chosen for prompt in prompts.build([item], task)]
    forward(sample[:WARM_UP])
    sample = sample[WARM_UP:] or sample
    start = time.perf_counter()
    forward(sample)
    seconds = time.perf_counter() - start
    return {"prompts": len(sample), "tokens_per_second": sum(len(prompt.ids) for prompt in sample) / seconds}
