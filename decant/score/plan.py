"""What scoring would cost, before it is paid for: texts, pairs, tokens, and the time by a short measured sample."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from decant.files import read_json
from decant.score.engines.base import Forward, load_forward
from decant.score.engines.pool import count_engines
from decant.score.prompts import Prompt, Prompts
from decant.score.store import Tell
from decant.score.store.complete import SplitScores
from decant.score.work import Job, read_work, teacher_folder, teacher_forbidden

SAMPLE = 64
WARM_UP = 8
ROW = "{:<20} {:>10} {:>12} {:>10} {:>12} {:>8}"


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


def plan_track(job: Job, folder: Path, tell: Tell) -> None:
    """Tell what scoring a track would take: nothing is scored, written or locked.

    Args:
        job: of the track.
        folder: of its scores, where the stage `score` writes them.
        tell: is called with each line.
    """
    work = read_work(job, tell)
    plans = {name: plan_split(work.prompts, split, job.store.shard, job.seed) for name, split in work.splits.items()}
    lost = sum(split.lost for split in work.splits.values())
    tell(ROW.format(job.track, "pairs", "unique texts", "to read", "tokens", "scored"))
    for name, split in plans.items():
        share = f"{split.scored / max(1, split.pairs):.0%}"
        tell(ROW.format(name, split.pairs, split.unique_texts, split.unread, split.tokens, share))
    manifest = folder / "manifest.json"
    if work.unread and manifest.is_file() and read_json(manifest).get("identity") == work.identity:
        tell(f"{folder} holds scores of this teacher, which the stage `score` takes in first: less may be to read")
    if lost:
        tell(f"{lost} pairs are not counted: their query leaves no room for a document")
    tokens = sum(split.tokens for split in plans.values())
    if not tokens:
        tell("every pair is scored already" if not lost else "there is nothing to read")
    elif teacher_forbidden():
        tell(f"{tokens} tokens to read; no estimate of the time, since DECANT_TEACHER=never forbids the sample")
    else:
        tell(_estimate(job, plans, tokens))


def _estimate(job: Job, plans: Mapping[str, SplitPlan], tokens: int) -> str:
    forward = load_forward(job.teacher, teacher_folder(job.teacher, weights=True))
    speed = tokens_per_second(forward, list(plans.values()), job.seed)
    engines = count_engines(job.teacher)
    busy = {name: min(engines, -(-split.unread // job.store.shard)) for name, split in plans.items()}
    seconds = sum(split.tokens / speed["tokens_per_second"] / max(1, busy[name]) for name, split in plans.items())
    return (
        f"{tokens} tokens at {speed['tokens_per_second']:.0f} a second (measured on {speed['prompts']} of the "
        f"prompts) on {engines} engine{'s' * (engines > 1)}: about {timedelta(seconds=round(seconds))}"
    )


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
