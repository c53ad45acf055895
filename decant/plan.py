"""What scoring would cost, before it is paid for: texts, pairs, tokens, and the time by a short measured sample."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from decant.dataset import Split
from decant.engines import Forward
from decant.prompts import Prompt
from decant.teachers import Teacher

SAMPLE = 64


@dataclass(frozen=True)
class SplitPlan:
    """What one file of scores takes.

    Args:
        pairs: query-candidate pairs.
        unique_texts: distinct texts among queries and candidates.
        prompts: what the model reads, each distinct one once.
        scored: the share of the pairs whose scores exist already.
        tokens: of the pairs not yet scored, counted by the teacher's tokenizer, prompts and templates included.
    """

    pairs: int
    unique_texts: int
    prompts: list[Prompt]
    scored: float

    @property
    def tokens(self) -> int:
        """All tokens that the model would read."""
        return sum(len(prompt.ids) for prompt in self.prompts)


def plan_splits(
    teacher: Teacher, splits: Mapping[str, Split], known: Mapping[str, set[tuple[str, str]]]
) -> dict[str, SplitPlan]:
    """Count what each split takes.

    Args:
        teacher: whose engine is not used.
        splits: name → rows and task.
        known: name → the pairs that are scored already.
    """
    plans = {}
    for name, split in splits.items():
        pairs = [(row.query, text) for row in split.rows for text in row.candidates]
        left = [pair for pair in pairs if pair not in known.get(name, set())]
        prompts = teacher.read([q for q, _ in left], [c for _, c in left], split.task)[0] if left else []
        texts = {text for pair in pairs for text in pair}
        plans[name] = SplitPlan(len(pairs), len(texts), prompts, 1 - len(left) / max(1, len(pairs)))
    return plans


def tokens_per_second(forward: Forward, prompts: list[Prompt], seed: int) -> dict[str, Any]:
    """Time an engine on a sample of the prompts, after a warm-up; nothing is kept."""
    chosen = random.Random(seed).sample(prompts, min(SAMPLE, len(prompts)))
    forward(chosen[:8])
    start = time.perf_counter()
    forward(chosen)
    seconds = time.perf_counter() - start
    return {"prompts": len(chosen), "tokens_per_second": sum(len(prompt.ids) for prompt in chosen) / seconds}
