"""The blocks of params.yaml that the stage `evaluate` reads."""

from pydantic import model_validator

from decant.blocks import Block, Positive
from decant.models.settings import Reference, pinned


class Evaluate(Block):
    """How checkpoints are evaluated."""

    batch_tokens: Positive | None = None
    """Tokens a forward pass; null takes what keeps the device busy and fits into a GPU's memory."""


class Baselines(Block):
    """Which baselines stand beside the student: one that is trained, and two that are free."""

    labels_only: bool
    """Whether a student is trained on the labels alone too."""
    bm25: bool
    """Whether BM25 ranks the test splits too."""
    model: Reference | None
    """An untouched model that ranks the test splits too; null for none. Where it is a track's teacher, that has already
    read them, and is not asked again."""
    revision: str | None = None
    """The commit of a `hub:` or `modelscope:` model."""

    def is_off(self, model: str) -> bool:
        """Whether the evaluation of this name is one of a baseline that is left out."""
        wanted = {"labels_only": self.labels_only, "bm25": self.bm25, "baseline": self.model is not None}
        return not wanted.get(model, True)

    @model_validator(mode="after")
    def _revision(self) -> "Baselines":
        if self.model is not None:
            pinned(self.model, self.revision)
        elif self.revision is not None:
            raise ValueError(f"`revision` is {self.revision!r}, and `model` is null: leave it out")
        return self
