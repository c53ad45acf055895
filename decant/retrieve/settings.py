"""The block of params.yaml that the stage `retrieve` reads."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from decant.blocks import Block, Positive

Searching = Literal["before", "after", "labels_only", "baseline"]


class Retrieve(Block):
    """A search of corpora by the track's models, instead of lists of candidates."""

    corpus: Literal["whole", "test"] = "whole"
    """What is searched: the set's corpus and all candidates of its test split, or these candidates alone."""
    top_k: Annotated[int, Field(ge=100)] = 100
    """The documents of each query's ranking that are kept; measures look at the first hundred."""
    queries: Positive | None = None
    """How many test queries of each set search, drawn by the seed; null takes all."""
    models: list[Searching] = Field(default_factory=lambda: list[Searching](get_args(Searching)))
    """The track's models that search, as far as there are such; the trained student, `after`, is always one."""
    teacher: bool = False
    """Whether the teacher, a single bi_encoder, is measured too: it reads each text of the corpus that is new to it."""
    rerankers: list[str] = Field(default_factory=list)
    """Tracks whose students put in order what BM25 and this track's student find."""
    reranked: Positive = 50
    """The documents of each ranking that they put in order."""
    reranking_teachers: bool = False
    """Whether these tracks' teachers put in order what the teacher finds; it needs `teacher`. Each reads the pairs that
    are new to it."""
    indexes: bool = False
    """Whether faiss's indexes are compared with the exact search, on the in-domain corpus of the trained student."""
    timed: Positive = 50
    """Queries of the in-domain set that are timed, one by one."""

    @model_validator(mode="after")
    def _possible(self) -> "Retrieve":
        if "after" not in self.models:
            raise ValueError("`models` needs `after`: the trained student is what the others stand beside")
        if self.reranking_teachers and not (self.teacher and self.rerankers):
            raise ValueError(
                "`reranking_teachers` puts in order what the teacher finds, by the teachers of `rerankers`: set "
                "`teacher` to true and name them"
            )
        return self
