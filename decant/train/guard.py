"""The guard against forgetting: weights between those before and those after training, chosen on dev splits.

Interpolating between a model and its fine-tuned self keeps most of the gain and gives back most of what was forgotten
(Wortsman et al., WiSE-FT, arXiv:2109.01903). The point is chosen on the in-domain dev split and on the dev split of a
guard set from another domain. The choice sees no test split, and nothing of the out-of-domain set.
"""

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from decant.data.sets import read_split
from decant.evaluate.run import evaluate
from decant.train.job import Job
from decant.train.precision import choose_precision, products_in_tf32

ALPHAS = (0.0, 0.25, 0.5, 0.75, 0.875, 1.0)
Weights = Mapping[str, Tensor]


class Point(NamedTuple):
    """One point between before (α = 0) and after (α = 1): MAP on the in-domain dev split and on the guard's, if any."""

    alpha: float
    in_domain: float
    guard: float | None


def keep_between(job: Job, in_domain: float, folder: Path, tell: Callable[[str], None]) -> tuple[list[Point], Point]:
    """Replace the checkpoint in a folder by the chosen point between before and after training, where params say so.

    `in_domain` is the checkpoint's MAP on dev. Returns all points, and the chosen one.
    """
    if job.guard_dev is None or not job.params.train.interpolate:
        after_alone = Point(1.0, in_domain, None)
        return [after_alone], after_alone
    splits, student = [read_split(path) for path in (job.dev, job.guard_dev)], job.params.student
    gc.collect()  # models refer to themselves: the trained one would stay in the GPU's memory, and so would the next
    after = weights(job.models.load(folder, trust_remote_code=student.trust_remote_code))
    gc.collect()
    model = job.models.make_student(student, job.folder, job.seed)
    scorer = job.models.make_scorer(model, job.batch_tokens)
    before = weights(model)

    def measure() -> tuple[float, float]:
        own, guard = (evaluate(scorer, split).means()["map"] for split in splits)
        return own, guard

    with products_in_tf32(choose_precision(job.params.train.precision, student.fresh_head)[0]):
        points = sweep(model, before, after, measure)
    chosen = choose(points, job.params.train.max_loss, job.params.train.max_below_best)
    if chosen.alpha < 1:
        set_between(model, before, after, chosen.alpha)
        model.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)
    where = {0.0: "those before training (α = 0)", 1.0: "those after training (α = 1)"}
    between = f"between those before (α = 0) and after training (α = 1), at α = {chosen.alpha:g}"
    tell(
        f"{job.track}: the kept weights are {where.get(chosen.alpha, between)}: "
        f"dev MAP {chosen.in_domain:.4f}, {job.params.guard} {points[0].guard:.4f} → {chosen.guard:.4f}"
    )
    return points, chosen


def weights(model: nn.Module) -> Weights:
    """A copy of a model's weights, in the CPU's memory: a GPU may not have room for a large model three times."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}


@torch.no_grad()
def set_between(model: nn.Module, before: Weights, after: Weights, alpha: float) -> None:
    """Make a model's weights (1 − α) · before + α · after, in place; what is no floating-point number is after's."""
    current = model.state_dict()
    for name, end in after.items():
        kept = current[name]
        if end.is_floating_point():
            kept.copy_(torch.lerp(before[name].to(kept.device), end.to(kept.device), alpha))
        else:
            kept.copy_(end)


def sweep(model: nn.Module, before: Weights, after: Weights, measure: Callable[[], tuple[float, float]]) -> list[Point]:
    """The points `ALPHAS`; the model is left at the last. `measure` returns its MAP in-domain and on the guard set."""
    points = []
    for alpha in ALPHAS:
        set_between(model, before, after, alpha)
        points.append(Point(alpha, *measure()))
    return points


def choose(points: Sequence[Point], max_loss: float, max_below_best: float | None = None) -> Point:
    """The point with the best in-domain MAP of those that lose at most `max_loss` on the guard set, against α = 0.

    With `max_below_best` they must also come as near to the best on the guard set, which keeps up at any rate. The
    smallest α of equals.
    """
    if points[0].guard is None:
        return points[0]
    limit = points[0].guard - max_loss
    if max_below_best is not None:
        limit = max(limit, max(point.guard for point in points if point.guard is not None) - max_below_best)
    allowed = (point for point in points if point.guard is not None and point.guard >= limit)
    return max(allowed, key=lambda point: point.in_domain)
