"""The blocks of params.yaml that the stage `train` reads."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from decant.blocks import Amount, Block, Finite, OneOf, Positive, Rate, Share
from decant.train.losses import LOSSES


def _rate_or_auto(value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    if not number and value != "auto":
        raise ValueError(f"found {value!r}, allowed: a number greater than 0, or auto")
    return value


Tracker = Literal["dvclive", "tensorboard", "wandb", "mlflow"]
RateOrAuto = Annotated[float | Literal["auto"], PlainValidator(_rate_or_auto)]


class Loss(Block):
    """A distillation loss, mixed with a contrastive term on the labels; see `decant.train.losses`."""

    name: Annotated[str, AfterValidator(OneOf(LOSSES, "loss"))]
    """The distillation loss."""
    student_temperature: Rate = 1.0
    """Divides the student's scores, in `kl` and in the term on the labels."""
    teacher_temperature: RateOrAuto = "auto"
    """Divides the teacher's scores, in `kl`; `auto` takes half their deviation within an n-tuple."""
    teacher_scale: RateOrAuto = "auto"
    """Multiplies the teacher's scores, in `margin_mse` and `mse`; `auto` brings their margins to the student's."""
    label_weight: Share = 0.0
    """The weight of the term on the labels: 0 is the teacher alone, 1 the labels alone."""
    in_batch: bool = False
    """Whether the term on the labels takes the batch's other candidates as negatives too. Of bi-encoders."""
    in_batch_pairs: list[Literal["query_query", "document_query", "document_document"]] | None = None
    """Pairs of the batch's texts that `in_batch` takes as negatives beside the query's with documents: the query's with
    other queries, its positive's with other queries or with others' documents; null takes none."""
    false_negative_margin: Finite | None = None
    """Negatives that the teacher scores above the positive's score less this are none in the term on the labels."""
    sides: Literal["both", "queries", "documents"] | None = None
    """Of `embed_distill`: whose embeddings are held to the teacher's; null is both."""
    spread_weight: Rate | None = None
    """The weight of a term that pushes the documents of a batch apart; null leaves it out. Of bi-encoders."""
    dimensions: Annotated[list[Positive], Field(min_length=1)] | None = None
    """How many first numbers of an embedding must do for the whole of it, the most first: the loss is the mean over the
    whole and each of these (Matryoshka), and each is evaluated. Null is the whole alone. Of bi-encoders."""

    @model_validator(mode="after")
    def _of_labels(self) -> "Loss":
        if self.label_weight == 0 and (self.in_batch or self.false_negative_margin is not None):
            raise ValueError(
                "`in_batch` and `false_negative_margin` are of the term on the labels, which `label_weight` 0 leaves "
                "out: set them to false and null, or raise it"
            )
        if not self.in_batch and self.in_batch_pairs is not None:
            raise ValueError(
                "`in_batch_pairs` adds to `in_batch`, which is false: set it to null, or `in_batch` to true"
            )
        return self

    @model_validator(mode="after")
    def _descending(self) -> "Loss":
        if self.dimensions is not None and (ordered := sorted({*self.dimensions}, reverse=True)) != self.dimensions:
            raise ValueError(f"`dimensions` is {self.dimensions}: give each once, the largest first: {ordered}")
        return self

    @model_validator(mode="after")
    def _of_embeddings(self) -> "Loss":
        if self.sides is not None and not LOSSES[self.name].embeddings:
            raise ValueError(f"`sides` is of embed_distill, and name is {self.name}: set it to null")
        return self


class Lora(Block):
    """Low-rank adapters (LoRA): to each frozen matrix the product of two small ones is added, which are trained."""

    rank: Positive = 16
    """Rows of the first small matrix, and columns of the second."""
    alpha: Rate = 32.0
    """The product is multiplied by alpha / rank."""
    dropout: Share = 0.0
    """Of what goes into the first small matrix."""
    targets: Annotated[list[str], Field(min_length=1)] | None = None
    """The linear layers that get adapters, by the last part of their names, as `q_proj`; null is all of them."""


class Train(Block):
    """How a student is trained. A track's own `train` holds what it sets differently."""

    lr: Rate
    """The highest learning rate; it falls linearly to 0."""
    epochs: Amount = 1.0
    """Passes over the n-tuples; 0 trains nothing, on any track."""
    least_steps: Positive | None = None
    """The fewest steps of the optimiser: a small set is passed over more often than in `epochs`. Null asks for none;
    the default recipe in params.yaml sets it."""
    batch_size: Positive = 16
    """n-tuples a forward pass, of all processes together."""
    one_set_a_batch: bool | None = None
    """Whether the n-tuples of a batch are all of one of a union's sets; null mixes them."""
    accumulate: Positive = 1
    """Batches a step of the optimiser."""
    warmup: Share = 0.1
    """The share of the steps in which the rate rises."""
    weight_decay: Amount = 0.01
    """Of AdamW."""
    freeze_embeddings: bool = False
    """Whether the word embeddings stay as they are."""
    dropout: Share | None = None
    """Replaces the model's own; null keeps it."""
    evaluations: Positive = 2
    """Evaluations on dev, evenly spaced; the checkpoint with the highest MAP is kept."""
    average: Annotated[int, Field(ge=2)] | None = None
    """The mean of the weights at so many of the last evaluations is evaluated as well, and kept where it is the best;
    null takes none."""
    lora: Lora | None = None
    """Adapters, which alone are trained, with the head; null trains the whole model."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` takes bfloat16 on a GPU that has it, and float32 for a fresh head."""
    processes: Positive = 1
    """Training processes, on a GPU each."""
    chunk: Positive | None = None
    """Texts or pairs whose activations are held at once; null holds the batch's."""
    checkpointing: bool = False
    """Whether the backward pass calculates each layer's activations again, for less memory."""
    save_steps: Positive | None = None
    """Steps between checkpoints from which a killed training goes on; null saves none."""
    interpolate: bool = False
    """Whether to keep the best point between the weights before and after training; needs a guard set."""
    max_loss: Share = 0.02
    """MAP on the guard set's dev split that the kept point may lose."""
    max_below_best: Share | None = None
    """MAP on the guard set's dev split that the kept point may be below the best of all points; null asks for none."""

    @model_validator(mode="after")
    def _evaluated(self) -> "Train":
        if self.average is not None and self.average > self.evaluations:
            raise ValueError(
                f"average is {self.average}, and there are {self.evaluations} evaluations: raise these, or lower it"
            )
        return self

    def steps(self, tuples: int) -> int:
        """How many steps of the optimiser are made of so many n-tuples: those of `epochs`, or `least_steps`."""
        steps = round(-(-tuples // (self.batch_size * self.accumulate)) * self.epochs)
        return max(steps, self.least_steps or 0) if self.epochs else 0
