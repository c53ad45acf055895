"""The blocks of params.yaml that the stages `fetch` and `mine` read."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from decant.blocks import Block, OneOf, Place, Positive, Seed, Share
from decant.data import SPLITS
from decant.fetch.readers import FORMATS
from decant.sources.settings import Reference, pinned

Duplicates = Literal["keep", "merge", "refuse"]
SplitSource = Annotated[str, Field(min_length=1)] | Positive


class DataSet(Block):
    """One set of queries with candidates. Its own four lines are `source`, `train`, `test` and `task`."""

    source: Reference
    """Where the set is: `path:` a file or folder, `hub:` or `modelscope:` a repository, `package:` a package."""
    revision: str | None = None
    """The commit of a `hub:` or `modelscope:` repository."""
    format: Annotated[str, AfterValidator(OneOf(FORMATS, "format"))] = "rows"
    """How the source is laid out; `rows` has a query, its positives and its negatives in each row."""
    packages: dict[str, str] = Field(default_factory=dict)
    """Versions of the installed packages that an embedded set is built from."""
    train: SplitSource
    """The source's train split or file; a number of queries for an embedded set."""
    dev: SplitSource | None = None
    """Likewise; a number is carved from train, null carves a tenth of train, at most 500 queries."""
    test: SplitSource
    """Likewise; a number is carved from train."""
    limits: dict[Literal["train", "dev", "test"], Positive] = Field(default_factory=dict)
    """The most queries to keep of a named split, drawn at random."""
    negatives: Positive | None = None
    """Negatives a query, of an embedded set."""
    seed: Seed = 0
    """Of what is carved or drawn."""
    duplicates: Duplicates = "refuse"
    """What to do about a query that comes again: keep both rows, merge their candidates, or refuse the set."""
    max_overlap: Share = 0.0
    """The largest share of a split's queries and positives that may stand in another split too."""
    task: str
    """What the search is for, in one sentence; it fills `{task}` in prompts."""

    @model_validator(mode="after")
    def _consistent(self) -> "DataSet":
        if FORMATS[self.format].embedded:
            for key in (*SPLITS, "negatives"):
                if not isinstance(getattr(self, key), int):
                    raise ValueError(f"`{key}` is {getattr(self, key)}, and the format {self.format} needs a number")
            if not self.packages:
                raise ValueError(f"`packages` is empty, and the format {self.format} is defined by their versions")
        elif not isinstance(self.train, str):
            raise ValueError(f"`train` is {self.train}: name the source's train split or file")
        if unnamed := [key for key in self.limits if not isinstance(getattr(self, key), str)]:
            raise ValueError(f"`limits.{unnamed[0]}` is for a named split, and `{unnamed[0]}` names none: leave it out")
        pinned(self.source, self.revision)
        return self


class Mine(Block):
    """Where candidates are searched for, for train rows that have none or too few."""

    method: Literal["bm25", "dense", "both"]
    """`bm25`, `dense` (the untrained student's embeddings), or `both` in turns."""
    corpus: Annotated[str, Field(min_length=1)] | None = None
    """A file in data/own, or a `path:` or `package:` reference; null takes all texts of the train split."""
    candidates: Positive = 20
    """Candidates added to a row at most."""
    skip: Place = 0
    """Ranks of each search that are passed over."""

    @model_validator(mode="after")
    def _corpus(self) -> "Mine":
        if self.corpus is not None and self.corpus.startswith(("hub:", "modelscope:")):
            remedy = "download it, and name a file in data/own or path:…"
            raise ValueError(f"`corpus` is {self.corpus}, and a corpus is a file on this machine: {remedy}")
        return self
