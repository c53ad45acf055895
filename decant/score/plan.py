"""What scoring would cost, before it is paid for: texts, pairs, tokens, and the time by a short measured sample."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from decant.score.engines import Forward
from decant.score.prompts import Prompt, Prompts
from decant.score.store.complete import SplitScores

SAMPLE = 64
WARM_UP = 8


@dataclass(frozen=True)
class SplitPlan:
    """What one file of scores takes.

    Args:
        pairs: query-candidate pairs.
        unique_texts: distinct texts among queries and candidates.
        scored: pairs whose scores the store holds.
        unread: what the model must read, each text or pair once.
        tokens: of these, counted by the teacher's tokenizer, prompts and templates included.
        sample: some of their prompts, drawn at random.
    """

    pairs: int
    unique_texts: int
    scored: int
    unread: int
    tokens: int
    sample: list[Prompt]


def plan_split(prompts: Prompts, split: SplitScores, shard: int, seed: int) -> SplitPlan:
    """Count what a split takes, beyond what the store holds of it."""
    split.set_long_aside(shard)
    chosen = set(random.Random(seed).sample(range(split.unread), min(WARM_UP + SAMPLE, split.unread)))
    tokens = number = 0
    sample = []
    for _, items in split.shards(shard):
        for prompt in prompts.build(items, split.task):
            tokens += len(prompt.ids)
            if number in chosen:
                sample.append(prompt)
            number += 1
    pairs = len(split.positions)
    return SplitPlan(pairs, split.unique_texts, pairs - split.missing, split.unread, tokens, sample)


def tokens_per_second(forward: Forward, plans: Sequence[SplitPlan], seed: int) -> dict[str, float]:
    """Time an engine on a sample of what it would read, after a warm-up on another; nothing is kept."""
    pool = [prompt for plan in plans for prompt in plan.sample]
    weights = [plan.unread / len(plan.sample) for plan in plans for _ in plan.sample]
    rng = random.Random(seed)
    chosen = sorted(range(len(pool)), key=lambda index: rng.random() ** (1 / weights[index]), reverse=True)
    sample = [pool[index] for index in chosen[: WARM_UP + SAMPLE]]
    forward(sample[:WARM_UP])
    sample = sample[WARM_UP:] or sample
    start = time.perf_counter()
    forward(sample)
    seconds = time.perf_counter() - start
    return {"prompts": len(sample), "tokens_per_second": sum(len(prompt.ids) for prompt in sample) / seconds}
