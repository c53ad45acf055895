"""The block of params.yaml that the stage `report` reads."""

from typing import Annotated

from pydantic import Field

from decant.blocks import Block


class ReportSettings(Block):
    """How differences are tested."""

    resamples: Annotated[int, Field(ge=99)] = 9999
    """Of the randomisation test and of the bootstrap."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Of the intervals."""
