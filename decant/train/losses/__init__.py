"""The losses by name. A new one is one module here and one entry in `LOSSES`.

Each is (1 − w) · distillation + w · contrastive, where w is `label_weight`: 0 is the teacher alone, 1 the labels alone.
The first candidate of each n-tuple is its positive. The label term is of labelled n-tuples alone: replayed ones, and
those whose positive is the teacher's choice, are distilled and nothing else.
"""

from typing import NamedTuple


class LossEntry(NamedTuple):
    """What params and the model card must know of a distillation loss.

    Args:
        module: with its function `distil`; see `decant.train.losses.base`.
        description: for the model card.
        kinds: of students that it can train.
        embeddings: whether it needs the teacher's embeddings.
    """

    module: str
    description: str
    kinds: tuple[str, ...] = ("bi_encoder", "cross_encoder")
    embeddings: bool = False


LOSSES = {
    "kl": LossEntry("decant.train.losses.kl", "listwise KL divergence"),
    "margin_mse": LossEntry("decant.train.losses.margin_mse", "MarginMSE"),
    "mse": LossEntry("decant.train.losses.mse", "MSE on scores"),
    "embed_distill": LossEntry(
        "decant.train.losses.embed_distill", "embedding distillation", ("bi_encoder",), embeddings=True
    ),
    "lambda": LossEntry("decant.train.losses.lambda_rank", "LambdaLoss on the teacher's order", ("cross_encoder",)),
}
