"""The block of params.yaml that the stage `report` reads."""

from typing import Annotated

from pydantic import Field

from decant.blocks import Block


class Report(Block):
    """How differences are tested."""

    resamples: Annotated[int, Field(ge=99)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
