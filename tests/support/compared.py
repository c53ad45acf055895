"""Comparisons by hand, of one track on one test set, and what they cost."""

import numpy as np

from decant.evaluate.metrics import METRICS
from decant.report.comparison import adjust, compare
from decant.report.settings import ReportSettings

SETTINGS = ReportSettings(resamples=999, confidence=0.95), 0  # and the seed


def models(**means: float) -> dict[str, dict[str, np.ndarray]]:
    """Models whose metric is `mean` on average, spread evenly over 40 queries."""
    return {name: {metric: mean + np.linspace(-0.1, 0.1, 40) for metric in METRICS} for name, mean in means.items()}


def comparison(after: float, *, fresh_head: bool = False, teacher: float = 0.6, **more: float) -> dict:
    return whole(compare(models(before=0.5, after=after, teacher=teacher, **more), *SETTINGS), fresh_head=fresh_head)


AFTER_ALONE = [{"alpha": 1.0, "in_domain": 0.7, "guard": None}]
CURVE = [
    {"alpha": 0.0, "in_domain": 0.5, "guard": 0.8},
    {"alpha": 0.5, "in_domain": 0.6, "guard": 0.79},
    {"alpha": 1.0, "in_domain": 0.7, "guard": 0.7},
]


def whole(
    entry: dict,
    *,
    fresh_head: bool = False,
    baseline: dict | None = None,
    domain: str = "in_domain",
    curve: list[dict] = AFTER_ALONE,
    alpha: float = 1.0,
) -> dict:
    """A comparison of one track on one test set."""
    counted = {"texts": 9, "exact": 0, "folded": 1, "near": 2}
    pairs = {pair: {"queries": counted, "candidates": counted} for pair in ("train-dev", "train-test", "dev-test")}
    block = {
        "fresh_head": fresh_head,
        "resamples": 999,
        "confidence": 0.95,
        "domains": {domain: {"own-set": entry}},
        "baseline": baseline,
        "guard": {"dataset": "third", "max_loss": 0.02, "points": curve, "alpha": alpha},
        "overlap": {"own-set": pairs, "own-set → other": {"train-test": pairs["train-test"]}},
    }
    comparison = {"embedding": block}
    adjust(comparison)
    return comparison


def cost(ratio: float | None = 3.0) -> dict:
    """Sizes, and speeds whose ratio is given; None where they were not measured."""
    rounds = {"teacher": 100.0, "student": 100.0 * (ratio or 0), "ratio": ratio or 0}
    spreads = {name: {"median": value, "low": 0.9 * value, "high": 1.1 * value} for name, value in rounds.items()}
    not_measured = {"measured": False, "reason": "the teacher is asleep"}
    return {
        "embedding": {
            "teacher": {"parameters": 40_000_000, "bytes": 160_000_000},
            "student": {"parameters": 10_000_000, "bytes": 40_000_000},
            "training_seconds": 7.0,
            "speed": not_measured if ratio is None else {"measured": True, "rounds": 5, **spreads},
        }
    }


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables, as rows of cells."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    return [[line.strip("| ").split(" | ") for line in block] for block in blocks]
