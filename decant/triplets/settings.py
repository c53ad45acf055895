"""The block of params.yaml that the stage `triplets` reads."""

from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from decant.blocks import Block, Finite, OneOf, Place, Positive, Share
from decant.triplets import STRATEGY_NAMES


class Triplets(Block):
    """How n-tuples are drawn from the teacher's scores."""

    strategy: Annotated[str, AfterValidator(OneOf(STRATEGY_NAMES, "strategy"))] = "hardest"
    """Which negatives are taken; docs/design.md describes them."""
    positives: Positive | None = None
    """Positives used of each row, the highest grades first, or the k of `teacher_top_k`; null uses all."""
    negatives: Positive
    """Negatives of each n-tuple."""
    queries: Positive | None = None
    """Train queries with scores of which n-tuples are drawn, at random: those of a smaller number are among those of a
    larger one; null takes all."""
    band_from: Place | None = None
    """Of `band`: the first place in the ranking of negatives, 0 the hardest."""
    band_to: Positive | None = None
    """Of `band`: the place behind the last."""
    false_negative_margin: Finite | None = None
    """Negatives that the teacher scores above the positive's score less this are false ones, and left out; null leaves
    none out."""
    false_negative_share: Share | None = None
    """The same for those above this share of the positive's score: 0.95 is 5 percent of its size below it, of a score
    below 0 as well."""
    false_negatives: Literal["drop", "relabel"] | None = None
    """What becomes of false negatives: `relabel` makes those of a row's best-scored positive further positives; null
    drops them."""

    @property
    def band(self) -> tuple[int, int] | None:
        """The places to draw among, the second left out; None for all."""
        return None if self.band_from is None or self.band_to is None else (self.band_from, self.band_to)

    @model_validator(mode="after")
    def _published(self) -> "Triplets":
        if self.strategy == "all_pairs" and (self.positives is not None or self.negatives != 1):
            raise ValueError(
                "all_pairs takes every positive with every negative: set positives to null and negatives to 1"
            )
        if self.strategy == "teacher_top_k" and self.positives is None:
            raise ValueError("teacher_top_k needs `positives`, the k of its top k")
        return self

    @property
    def finds_false_negatives(self) -> bool:
        """Whether negatives that the teacher scores too high are looked for."""
        return self.false_negative_margin is not None or self.false_negative_share is not None

    @model_validator(mode="after")
    def _false_negatives(self) -> "Triplets":
        if self.false_negative_margin is not None and self.false_negative_share is not None:
            raise ValueError(
                "false_negative_margin and false_negative_share are two limits for the same: set one of them to null"
            )
        if self.false_negatives is not None and not self.finds_false_negatives:
            raise ValueError(
                f"false_negatives is {self.false_negatives}, and nothing says which they are: set "
                "false_negative_margin or false_negative_share"
            )
        if self.strategy == "teacher_top_k" and self.finds_false_negatives:
            name = "margin" if self.false_negative_share is None else "share"
            raise ValueError(
                "teacher_top_k sets labels aside, and false negatives are those of a label: "
                f"set false_negative_{name} to null"
            )
        return self

    @model_validator(mode="after")
    def _band(self) -> "Triplets":
        if self.strategy != "band":
            if (self.band_from, self.band_to) != (None, None):
                raise ValueError(f"{self.strategy} draws from no band: set band_from and band_to to null")
        elif self.band_from is None or self.band_to is None:
            raise ValueError("band needs `band_from` and `band_to`, the places in the ranking of negatives")
        elif self.band_to <= self.band_from:
            raise ValueError(f"band_to is {self.band_to}, and the band begins at {self.band_from}: set it higher")
        elif self.negatives > self.band_to - self.band_from:
            raise ValueError(
                f"{self.negatives} negatives do not fit in a band of {self.band_to - self.band_from}: "
                "lower negatives, or widen the band"
            )
        return self
