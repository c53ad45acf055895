"""What all blocks of params.yaml are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]


Share = Annotated[float, Field(ge=0, le=1)]


Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]


Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


Seed = Annotated[int, Field(ge=0, lt=2**32)]


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Block(BaseModel):
    """A block of params.yaml: unknown keys are refused, and nothing is converted behind the user's back."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
