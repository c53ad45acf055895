"""The blocks of params.yaml that the stages `fetch` and `mine` read."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from decant.blocks import Block, Positive, Seed, Share
from decant.sources.settings import Reference, pinned


class Splits(Block):
    """The source's name of each split (a file for `path:`); null carves the split from train."""

    train: str | None
    dev: str | None
    test: str | None


class DataSet(Block):
    """One reranking set; see docs/params.md."""

    source: Reference
    revision: str | None
    format: Literal["rows", "beir", "mteb", "icd10", "pydocs", "cwe"]
    packages: dict[str, str]
    splits: Splits
    train: Positive | None
    dev: Positive | None
    test: Positive | None
    negatives: Positive | None
    seed: Seed
    duplicates: Literal["keep", "merge", "refuse"]
    max_overlap: Share
    task: str

    @model_validator(mode="after")
    def _consistent(self) -> "DataSet":
        if self.format in ("icd10", "pydocs", "cwe"):
            for key in ("train", "dev", "test", "negatives"):
                if getattr(self, key) is None:
                    raise ValueError(f"`{key}` is null, and the format {self.format} needs a number")
            if not self.packages:
                raise ValueError(f"`packages` is empty, and the format {self.format} is defined by their versions")
        else:
            if self.splits.train is None:
                raise ValueError("`splits.train` is null: name the source's train split or file")
            for key in ("dev", "test"):
                if getattr(self.splits, key) is None and getattr(self, key) is None:
                    raise ValueError(
                        f"`splits.{key}` is null, so `{key}` must say how many queries to carve from train"
                    )
        pinned(self.source, self.revision)
        return self


Place = Annotated[int, Field(ge=0)]


class Mine(Block):
    """Whether and how candidates are searched for, for train rows that have none or too few."""

    method: Literal["bm25", "dense", "both"] | None
    corpus: Annotated[str, Field(min_length=1)] | None
    candidates: Positive
    skip: Place

    @model_validator(mode="after")
    def _corpus(self) -> "Mine":
        if self.corpus is not None and self.corpus.startswith(("hub:", "modelscope:")):
            raise ValueError(
                f"`corpus` is {self.corpus}, and a corpus is a file on this machine: download it, and name a file in "
                "data/own or path:…"
            )
        return self
