"""What a reader makes of a source, one by one or many at once."""

from typing import NamedTuple, TypeAlias

from decant.data.files import Batch, Unreadable
from decant.fetch.layouts.given import Given


class NotJudged(NamedTuple):
    """A query, or a document of a query, of which the source says too little: left out, and counted by the reason."""

    reason: str


Item: TypeAlias = Given | NotJudged | Unreadable | Batch
