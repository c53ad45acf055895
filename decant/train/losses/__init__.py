"""The losses by name. A new one is one module here and one entry in `LOSSES`.

The loss of training is (1 − w) · distillation + w · contrastive, where w is `label_weight`: at 0 a student learns from
the teacher alone, at 1 from the labels alone. The first candidate of each n-tuple is its positive. Only labelled
n-tuples have the contrastive term: those that are replayed, and those whose positive the teacher chose, have none.
Beside both, `spread_weight` · spread keeps a bi-encoder's documents apart.
"""

from typing import NamedTuple


class LossEntry(NamedTuple):
    """What params and the model card must know of a distillation loss."""

    module: str  # has the function `distil(batch, settings)`, the mean loss of a `decant.train.losses.base.Batch`
    description: str  # for the model card
    kinds: tuple[str, ...] = ("bi_encoder", "cross_encoder")  # of students that it can train
    embeddings: bool = False  # whether it needs the teacher's
    scales: tuple[str, ...] = ()  # those of its settings that may be `auto`


LOSSES = {
    "kl": LossEntry("decant.train.losses.kl", "listwise KL divergence", scales=("teacher_temperature",)),
    "margin_mse": LossEntry("decant.train.losses.margin_mse", "MarginMSE", scales=("teacher_scale",)),
    "mse": LossEntry("decant.train.losses.mse", "MSE on scores", scales=("teacher_scale",)),
    "embed_distill": LossEntry(
        "decant.train.losses.embed_distill", "embedding distillation", ("bi_encoder",), embeddings=True
    ),
    "lambda": LossEntry("decant.train.losses.lambda_rank", "LambdaLoss on the teacher's order", ("cross_encoder",)),
    "ranknet": LossEntry("decant.train.losses.ranknet", "RankNet on the teacher's order", ("cross_encoder",)),
}
