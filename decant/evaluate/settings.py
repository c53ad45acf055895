"""The blocks of params.yaml that the stage `evaluate` reads."""

from pydantic import model_validator

from decant.blocks import Block, Positive
from decant.sources.settings import Reference, pinned


class Evaluate(Block):
    """How checkpoints are evaluated."""

    batch_size: Positive


class Baselines(Block):
    """Which baselines stand beside the student: one that is trained, and two that are free."""

    labels_only: bool
    bm25: bool
    model: Reference | None
    revision: str | None

    @model_validator(mode="after")
    def _revision(self) -> "Baselines":
        if self.model is not None:
            pinned(self.model, self.revision)
        elif self.revision is not None:
            raise ValueError(f"`revision` is {self.revision!r}, and `model` is null: set it to null too")
        return self
