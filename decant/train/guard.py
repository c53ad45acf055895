"""The guard against forgetting: weights between those before and those after training, chosen on dev splits.

Interpolating between a model and its fine-tuned self keeps most of the gain and gives back most of what was forgotten
(Wortsman et al., WiSE-FT, arXiv:2109.01903). Which point is taken is decided on the in-domain dev split and on the dev
split of a guard set from another domain; no test split and nothing of the out-of-domain set is seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ALPHAS = (0.0, 0.25, 0.5, 0.75, 0.875, 1.0)
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Point:
    """One point between before (α = 0) and after (α = 1): MAP on the in-domain dev split and on the guard's.

    Without a guard set `guard` is None, and there is one point: after.
    """

    alpha: float
    in_domain: float
    guard: float | None


def weights(model: nn.Module) -> Weights:
    """A copy of a model's weights."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def set_between(model: nn.Module, before: Weights, after: Weights, alpha: float) -> None:
    """Make a model's weights (1 − α) · before + α · after, in place; what is no floating-point number is after's."""
    held = model.state_dict()
    for name, end in after.items():
        held[name].copy_(torch.lerp(before[name], end, alpha) if end.is_floating_point() else end)


def sweep(model: nn.Module, before: Weights, after: Weights, measure: Callable[[], tuple[float, float]]) -> list[Point]:
    """Measure the points `ALPHAS`; the model is left at some of them.

    Args:
        model: whose weights are set.
        before: its weights before training.
        after: those after it.
        measure: returns the model's MAP on the in-domain dev split and on the guard's.
    """
    points = []
    for alpha in ALPHAS:
        set_between(model, before, after, alpha)
        points.append(Point(alpha, *measure()))
    return points


def choose(points: Sequence[Point], max_loss: float) -> Point:
    """The point with the best in-domain MAP of those that lose no more than allowed on the guard set, against α = 0.

    The smallest α of equals. α = 0 itself loses nothing, so there is always one.
    """
    if points[0].guard is None:
        return points[0]
    limit = points[0].guard - max_loss
    allowed = (point for point in points if point.guard is not None and point.guard >= limit)
    return max(allowed, key=lambda point: point.in_domain)
