"""The blocks of params.yaml that the stage `train` reads."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_validator

from decant.blocks import Block, Positive, Rate, Share, Temperature


def _rate_or_auto(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    if not number and value != "auto":
        raise ValueError(f"found {value!r}, allowed: a number greater than 0, or auto")
    return value


RateOrAuto = Annotated[float | Literal["auto"], PlainValidator(_rate_or_auto)]


class Loss(Block):
    """A distillation loss, mixed with a contrastive term on the labels; see `decant.train.losses`."""

    name: Literal["kl", "margin_mse", "mse", "embed_distill", "lambda"]
    student_temperature: Temperature
    teacher_temperature: RateOrAuto
    teacher_scale: RateOrAuto
    label_weight: Share
    in_batch: bool
    false_negative_margin: Annotated[float, Field(allow_inf_nan=False)] | None

    @model_validator(mode="after")
    def _of_labels(self) -> "Loss":
        if self.label_weight == 0 and (self.in_batch or self.false_negative_margin is not None):
            raise ValueError(
                "`in_batch` and `false_negative_margin` are of the term on the labels, which `label_weight` 0 leaves "
                "out: set them to false and null, or raise it"
            )
        return self


class Train(Block):
    """What both students' training shares."""

    lr: Rate
    epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    batch_size: Positive
    accumulate: Positive
    warmup: Share
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    freeze_embeddings: bool
    dropout: Share | None
    evaluations: Positive
    precision: Literal["auto", "float32", "bfloat16"]
    processes: Positive
    chunk: Positive | None
    checkpointing: bool
    save_steps: Positive | None


class TrainOverride(Block):
    """A track's own training settings; null inherits."""

    lr: Rate | None
    epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    batch_size: Positive | None
    accumulate: Positive | None
    warmup: Share | None
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    freeze_embeddings: bool | None
    dropout: Share | None
    evaluations: Positive | None
    precision: Literal["auto", "float32", "bfloat16"] | None
    processes: Positive | None
    chunk: Positive | None
    checkpointing: bool | None
    save_steps: Positive | None
