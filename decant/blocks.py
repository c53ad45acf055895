"""What all blocks of params.yaml are made of."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Place = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Block(BaseModel):
    """A block of params.yaml.

    Unknown keys are refused, and nothing is converted behind the user's back. The line below a field describes it in
    docs/params.md.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


NullIsEmpty = BeforeValidator(lambda value: {} if value is None else value)
"""Reads `block: null` as a block without keys: DVC needs the key of every block that a stage depends on."""


class OneOf:
    """A validator of a name that must be a key of a registry; `what` is a word for its entries, such as "format"."""

    def __init__(self, names: Iterable[str], what: str) -> None:
        self.names, self.what = names, what

    def __call__(self, value: str) -> str:
        """The name itself; a ValueError where the registry lacks it."""
        if value not in self.names:
            raise ValueError(f"{value!r} is no {self.what}: choose {' or '.join(self.names)}")
        return value


def blocks_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The blocks that a field's annotation speaks of, in its order: of `list[A] | B | None` A and B."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from blocks_in(part)
