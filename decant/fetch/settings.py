"""The blocks of params.yaml that the stages `fetch` and `mine` read."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from decant.blocks import Block, OneOf, Place, Positive, Rate, Seed, Share
from decant.data import SPLITS
from decant.fetch.readers import FORMATS
from decant.sources.settings import Reference, pinned

Duplicates = Literal["keep", "merge", "refuse"]
OnFaults = Literal["refuse", "drop"]
Candidates = Literal["judged", "listed", "run", "bm25", "dense"]
OF_FILES = (
    *("columns", "ignore", "encoding", "relevant_from", "candidates", "top_k", "run", "corpus", "queries"),
    *("encoder", "encoder_revision", "faults", "max_dropped"),
)
SplitSource = Annotated[str, Field(min_length=1)] | Positive


class DataSet(Block):
    """One set of queries with candidates. Its own four lines are `source`, `train`, `test` and `task`."""

    source: Reference
    """Where the set is: `path:` a file or folder, `hub:` or `modelscope:` a repository, `package:` a package."""
    revision: str | None = None
    """The commit of a `hub:` or `modelscope:` repository."""
    format: Annotated[str, AfterValidator(OneOf(FORMATS, "format"))] = "auto"
    """How the source is laid out; `auto` finds it out, `decant inspect` shows what it found."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Your own names of columns: `{positive: good, negative: bad}` reads the column `good` as `positive`."""
    ignore: list[str] = Field(default_factory=list)
    """Columns that are left aside without a word."""
    encoding: str | None = None
    """Of text files that are neither UTF-8 nor UTF-16 with its mark, such as `gbk`."""
    relevant_from: Positive = 1
    """The lowest grade of a positive, where labels are graded."""
    candidates: Candidates | None = None
    """What is ranked, of a set with qrels: the judged documents, those listed with it, a run's, or a search's best."""
    top_k: Positive = 100
    """The most candidates that a run or a search gives a query."""
    run: str | None = None
    """The TREC run of `candidates: run`, a file beside the source's; `{split}` in it is the split's name."""
    corpus: str | None = None
    """The file of the texts that rows name by their ids; null looks for `corpus.*` in the source."""
    queries: str | None = None
    """Likewise of queries; null looks for `queries.*`."""
    encoder: Reference | None = None
    """The bi-encoder of `candidates: dense`."""
    encoder_revision: str | None = None
    """The commit of a `hub:` or `modelscope:` encoder."""
    faults: OnFaults = "refuse"
    """What to do about faulty rows and texts: refuse the set, or drop and count them."""
    max_dropped: Share = 0.5
    """The largest share of a split's rows, or of its candidates, that `faults: drop` may leave out."""
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

    @property
    def unread(self) -> set[str]:
        """The keys that decide nothing of this set: those about files, of one that is built from a package."""
        return set(OF_FILES) if FORMATS[self.format].embedded else set()

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
        if (self.candidates == "run") != (self.run is not None):
            raise ValueError(f"`candidates` is {self.candidates} and `run` is {self.run}: the one needs the other")
        if (self.candidates == "dense") != (self.encoder is not None):
            raise ValueError(f"`candidates` is {self.candidates} and `encoder` {self.encoder}: the one needs the other")
        pinned(self.source, self.revision)
        if self.encoder is not None:
            pinned(self.encoder, self.encoder_revision)
        return self


class Union(Block):
    """A set that is made of others."""

    union: Annotated[dict[str, Rate | None], Field(min_length=2)]
    """The sets, each with a weight: `{public: 3, own: 1}` takes three train rows of one for each of the other, as many
    as there are without taking one twice; null takes all of a set's."""
    cap: dict[str, Positive] = Field(default_factory=dict)
    """The most train rows of a named set."""
    seed: Seed = 0
    """Of the train rows that are drawn."""
    max_overlap: Share = 0.0
    """The largest share of a split's queries and positives that may stand in another split, whichever set's."""

    def shares(self, rows: Mapping[str, int]) -> dict[str, int]:
        """How many train rows are taken of each set, which has so many."""
        most = {name: min(count, self.cap.get(name, count)) for name, count in rows.items()}
        weights = {name: weight for name, weight in self.union.items() if weight is not None}
        times = min((most[name] / weight for name, weight in weights.items()), default=0.0)
        return {name: max(1, int(weights[name] * times + 1e-9)) if name in weights else most[name] for name in most}

    @model_validator(mode="after")
    def _consistent(self) -> "Union":
        if others := sorted(self.cap.keys() - self.union.keys()):
            raise ValueError(f"`cap` names {others[0]}, which is none of the union's sets")
        return self


class Mine(Block):
    """Where candidates are searched for, for train rows that have none or too few."""

    method: Literal["bm25", "dense", "both", "student"]
    """`bm25`, `dense` (the untrained student's embeddings), `both` in turns, or `student` (the distilled student of the
    track that `searcher` names)."""
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
