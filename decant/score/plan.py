"""What scoring would cost, before it is paid for: texts, pairs, tokens, and the time by a short measured sample."""

import random
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from decant.score.engines.base import load_forward
from decant.score.engines.pool import count_engines
from decant.score.prompts import Prompt, Prompts
from decant.score.store import Tell
from decant.score.store.complete import SplitScores
from decant.score.store.taking import outputs_of
from decant.score.work import Job, Work, read_work, teacher_asked, teacher_folder

SAMPLE = 64
WARM_UP = 8
ROW = "{:<20} {:>10} {:>12} {:>10} {:>12} {:>8}"


def plan_track(job: Job, folder: Path, tell: Tell) -> None:
    """Tell what scoring a track would take, whose scores belong in the folder: nothing is scored, written or locked."""
    jobs = job.of_members
    for name, one in jobs.items():
        if len(jobs) > 1:
            tell(name)
        _plan_teacher(one, folder, tell)


def _plan_teacher(job: Job, folder: Path, tell: Tell) -> None:
    work = read_work(job, tell)
    counted = count_all(work)
    tokens = {name: count for name, (count, _) in counted.items()}
    tell(ROW.format(job.track, "pairs", "unique texts", "to read", "tokens", "scored"))
    for name, split in work.splits.items():
        pairs = len(split.positions)
        share = f"{(pairs - split.missing) / max(1, pairs):.0%}"
        tell(ROW.format(name, pairs, split.unique_texts, split.unread, tokens[name], share))
    for output in outputs_of(folder, work.identity) if work.unread else ():
        tell(f"{output} holds scores of this teacher, which the stage `score` takes in first: less may be to read")
    if work.unread and (whole := work.whole) is not None and len(whole.texts):
        tell(f"the store holds {len(whole.texts)} whole embeddings of this teacher, which the stage `score` cuts first")
    if lost := sum(split.lost for split in work.splits.values()):
        tell(f"{lost} pairs are not counted: their query leaves no room for a document")
    if not sum(tokens.values()):
        tell("every pair is scored already" if not lost else "there is nothing to read")
    else:
        tell(estimate(work, counted))


def count_all(work: Work) -> dict[str, tuple[int, list[Prompt]]]:
    """Of each split what `count_tokens` returns, by name."""
    job = work.job
    return {name: count_tokens(work.prompts, split, job.store.shard, job.seed) for name, split in work.splits.items()}


def count_tokens(prompts: Prompts, split: SplitScores, shard: int, seed: int) -> tuple[int, list[Prompt]]:
    """The tokens of what the store lacks of a split, prompts and templates included, and some of these prompts."""
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
    return tokens, sample


def estimate(work: Work, counted: Mapping[str, tuple[int, Sequence[Prompt]]]) -> str:
    """How long reading would take, of what `count_all` returns: there is something to read.

    An engine is timed on a sample of it, after a warm-up on another; nothing is kept.
    """
    job, tokens = work.job, {name: count for name, (count, _) in counted.items()}
    if teacher_asked() == "never":
        total = sum(tokens.values())
        return f"{total} tokens to read; no estimate of the time, since DECANT_TEACHER=never forbids the sample"
    forward = load_forward(work.teacher, teacher_folder(work.teacher, weights=True))
    unread = {name: split.unread for name, split in work.splits.items()}
    pool = [prompt for _, prompts in counted.values() for prompt in prompts]
    weights = [unread[name] / len(prompts) for name, (_, prompts) in counted.items() for _ in prompts]
    rng = random.Random(job.seed)
    chosen = sorted(range(len(pool)), key=lambda index: rng.random() ** (1 / weights[index]), reverse=True)
    drawn = [pool[index] for index in chosen[: WARM_UP + SAMPLE]]
    warm_up, sample = drawn[:WARM_UP], drawn[WARM_UP:] or drawn
    forward(warm_up)
    start = time.perf_counter()
    forward(sample)
    speed = sum(len(prompt.ids) for prompt in sample) / (time.perf_counter() - start)
    engines = count_engines(work.teacher)
    busy = {name: max(1, min(engines, -(-number // job.store.shard))) for name, number in unread.items()}
    seconds = sum(tokens[name] / speed / busy[name] for name in tokens)
    return (
        f"{sum(tokens.values())} tokens at {speed:.0f} a second (measured on {len(sample)} of the prompts) on "
        f"{engines} engine{'s' * (engines > 1)}: about {timedelta(seconds=round(seconds))}"
    )
