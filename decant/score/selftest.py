"""Before a teacher is paid for: 16 pairs through its engine and through the plain library, compared and judged."""

import gc
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from decant.data.sets import Split
from decant.errors import DecantError
from decant.models.scorer import Scores
from decant.models.size import model_size
from decant.score.engines import REFERENCE
from decant.score.sanity import TEMPLATE, check_values
from decant.score.settings import Teacher
from decant.score.store.complete import SplitScores
from decant.score.store.identity import digest
from decant.score.store.taking import IMPORTED
from decant.score.teacher import TeacherScorer

PAIRS = 16
HEADROOM = 1.2  # of a model's weights, for activations

# How far an engine's scores may be from the plain library's: (cosines, logits). In half precision tiny models stay well
# within these (tests/score/test_engines.py). 8B models of random weights in bfloat16, on one NVIDIA H200, were at most
# 0.003 (cosines) and 0.22 (logits of a deviation of 1.6) from float32. A wrong prompt moves scores by far more.
TOLERANCES = {"float32": (1e-4, 1e-3), "bfloat16": (2e-2, 0.5), "float16": (2e-2, 0.5)}


@dataclass(frozen=True)
class Sample:
    """Pairs to test with: the first `positives` are positive by label, the rest have a candidate of another query."""

    queries: list[str]
    candidates: list[str]
    task: str
    positives: int

    @property
    def digest(self) -> str:
        """Names the sample: 16 hexadecimal digits of its content."""
        return digest([self.queries, self.candidates, self.task])


def draw_sample(split: Split, seed: int) -> Sample:
    """Draw 16 pairs from a set; of an unlabelled set none counts as positive."""
    rng = random.Random(seed)
    rows = rng.sample(split.rows, min(PAIRS // 2, len(split.rows)))
    others = rows[1:] + rows[:1]
    pairs = [(row.query, rng.choice(row.positive or row.candidates)) for row in rows]
    pairs += [(row.query, rng.choice(other.candidates)) for row, other in zip(rows, others, strict=True)]
    labelled = all(row.positive for row in rows)
    return Sample([q for q, _ in pairs], [c for _, c in pairs], split.task, len(rows) if labelled else 0)


def reference_scores(teacher: Teacher, folder: Path, sample: Sample) -> tuple[Scores | None, str]:
    """The sample's scores by the plain library, and where they come from or why there are none.

    The model is loaded before the engine, which may take all of a GPU's memory, and is gone afterwards.
    """
    import psutil
    import torch  # takes seconds

    plain = {"engine": REFERENCE[teacher.kind], "server": None, "engines": 1, "engine_pool": "processes"}
    if teacher.engine == plain["engine"]:
        return None, f"{teacher.engine} is the plain library itself"
    size = model_size(folder)["parameters"] * getattr(torch, teacher.dtype).itemsize
    if not size:
        return None, "the weights are not on this machine"
    on_gpu = torch.cuda.is_available()
    device, free = ("GPU", torch.cuda.mem_get_info()[0]) if on_gpu else ("CPU", psutil.virtual_memory().available)
    if size * HEADROOM > free:
        return None, f"the weights take {size / 2**30:.1f} GB, and {free / 2**30:.1f} GB are free on the {device}"
    try:
        with TeacherScorer(teacher.model_copy(update=plain | {"tensor_parallel": 1}), folder) as reference:
            scores = reference.score(sample.queries, sample.candidates, sample.task)
    except torch.OutOfMemoryError:
        return None, f"the weights fit on the {device}, and the sample's texts do not"
    del reference
    gc.collect()
    torch.cuda.empty_cache()  # does nothing without a GPU
    return scores, f"{plain['engine']} on the {device}"


def judge(teacher: Teacher, sample: Sample, scores: Scores, reference: Scores | None) -> dict[str, Any]:
    """Judge the engine's scores of the sample; return what the manifest says of the self-test.

    Raises:
        DecantError: the scores cannot be right, or differ from the plain library's.
    """
    where = f"self-test of {len(scores)} pairs on {teacher.engine}"
    check_values(scores, where)
    report: dict[str, Any] = {"pairs": len(scores)}
    if sample.positives:
        positive, other = scores[: sample.positives].mean(), scores[sample.positives :].mean()
        report |= {"mean_of_positives": round(float(positive), 6), "mean_of_random": round(float(other), 6)}
        if positive <= other:
            raise DecantError(
                f"{where}: positives score {positive:.4g} on average and random candidates {other:.4g}: "
                "the scores are sign-flipped, or the model does not understand the task",
                f"look whether yes and no are exchanged, the labels of the set, and the prompt: {TEMPLATE}",
            )
    if reference is not None:
        tolerance = TOLERANCES[teacher.dtype][teacher.kind != "bi_encoder"]
        difference, words = _largest_difference(scores, reference, sample.queries)
        report |= {"largest_difference": float(f"{difference:.2g}"), "tolerance": tolerance}
        if not difference <= tolerance:
            raise DecantError(
                f"{where}: the scores differ from the plain library's by up to {words}, and {tolerance} is allowed in "
                f"{teacher.dtype}",
                "the engine reads other tokens, applies an activation, or has another model: compare its version, "
                "model, dtype and prompt with params.yaml",
            )
    return report


def compare_imported(teacher: Teacher, scorer: TeacherScorer, splits: Iterable[SplitScores], seed: int) -> int:
    """Compare some imported scores of each split with the teacher's own, before they are mixed; return how many.

    Raises:
        DecantError: they differ by more than half precision explains.
    """
    tolerance = TOLERANCES["bfloat16"][teacher.kind != "bi_encoder"]
    compared = 0
    for split in splits:
        queries, candidates, imported = split.sample_of(IMPORTED, PAIRS, seed)
        if not queries:
            continue
        own = scorer.score(queries, candidates, split.task)
        difference, words = _largest_difference(imported, own, queries)
        if not difference <= tolerance:
            raise DecantError(
                f"{split.path}: imported scores differ from the teacher's by up to {words}, and {tolerance} is "
                "allowed: they are of another teacher or prompt, or on another scale",
                "remove them: `decant store --prune NAME` (`decant store` lists the names); then "
                "import raw scores of this very teacher, or let it score all pairs",
            )
        compared += len(queries)
    return compared


def _largest_difference(scores: Scores, expected: Scores, queries: Sequence[str]) -> tuple[float, str]:
    differences = np.abs(scores - expected)
    worst = int(differences.argmax())
    pair = f"{scores[worst]:.6g} instead of {expected[worst]:.6g} for the query {queries[worst][:60]!r}"
    return differences[worst], f"{differences[worst]:.4g} ({pair})"
