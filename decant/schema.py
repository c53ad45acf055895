"""The typed schema of params.yaml: every knob, what it may be, and which combinations are impossible."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from decant.schema_candidates import Mine, Triplets
from decant.schema_models import (
    Block,
    EmbeddingStudent,
    Positive,
    Reference,
    RerankerStudent,
    Seed,
    Share,
    Student,
    Teacher,
    pinned,
)
from decant.schema_training import Loss, Train, TrainOverride

__all__ = ["DataSet", "Params", "Student"]


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


class Guard(Block):
    """A third set that training may look at, so that the student does not unlearn what it is not trained on."""

    dataset: str | None
    replay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    interpolate: bool
    max_loss: Share

    @model_validator(mode="after")
    def _dataset(self) -> "Guard":
        if self.dataset is None and self.replay > 0:
            raise ValueError(
                f"`replay` is {self.replay}, and there is no set to replay: name it in `dataset`, or set 0"
            )
        if self.dataset is None and self.interpolate:
            raise ValueError("`interpolate` is true, and there is no set to keep up with: name it in `dataset`")
        return self


class Track(Block):
    """What both tracks' blocks hold."""

    in_domain: str
    out_of_domain: str | None
    guard: Guard
    mine: Mine
    teacher: Teacher
    triplets: Triplets
    train: TrainOverride


class EmbeddingTrack(Track):
    """The embedding track: a bi-encoder student."""

    student: EmbeddingStudent
    loss: Loss

    @model_validator(mode="after")
    def _loss(self) -> "EmbeddingTrack":
        if self.loss.name == "lambda":
            raise ValueError("loss.name is lambda, which is a loss of cross-encoders: set it to kl")
        if self.loss.name == "embed_distill" and not self.teacher.embeddings:
            raise ValueError(
                "loss.name is embed_distill, which needs the teacher's embeddings: set teacher.embeddings to true"
            )
        return self


class RerankerTrack(Track):
    """The reranker track: a cross-encoder student."""

    student: RerankerStudent
    loss: Loss

    @model_validator(mode="after")
    def _loss(self) -> "RerankerTrack":
        if self.loss.name == "embed_distill" or self.loss.in_batch:
            key = "loss.in_batch is true" if self.loss.in_batch else "loss.name is embed_distill"
            raise ValueError(
                f"{key}, and a cross-encoder makes no embeddings: set in_batch to false, and name to margin_mse"
            )
        return self

    @model_validator(mode="after")
    def _mined(self) -> "RerankerTrack":
        if self.mine.method in ("dense", "both"):
            raise ValueError(
                f"mine.method is {self.mine.method}, which searches by the student's embeddings, and a cross-encoder "
                "makes none: set it to bm25"
            )
        return self


class Evaluate(Block):
    """How checkpoints are evaluated."""

    batch_size: Positive


class Baselines(Block):
    """Which baselines stand beside the student: one that is trained, and two that are free."""

    labels_only: bool
    bm25: bool
    model: Reference | None
    revision: str | None

    @model_validator(mode="after")
    def _revision(self) -> "Baselines":
        if self.model is not None:
            pinned(self.model, self.revision)
        elif self.revision is not None:
            raise ValueError(f"`revision` is {self.revision!r}, and `model` is null: set it to null too")
        return self


class Store(Block):
    """Where teachers' scores are kept between runs, and how."""

    folder: Annotated[str, Field(min_length=1)] | None
    shard: Positive
    embeddings: Literal["float32", "float16"]
    max_quarantined: Share


class Report(Block):
    """How differences are tested."""

    resamples: Annotated[int, Field(ge=99)]
    confidence: Annotated[float, Field(gt=0, lt=1)]


class Params(Block):
    """All of params.yaml."""

    seed: Seed
    datasets: dict[str, DataSet]
    embedding: EmbeddingTrack
    reranker: RerankerTrack
    train: Train
    evaluate: Evaluate
    baselines: Baselines
    store: Store
    report: Report

    @model_validator(mode="after")
    def _known_sets(self) -> "Params":
        for name in self.datasets:
            if not name.replace("-", "").replace("_", "").isalnum() or name == "None":
                raise ValueError(f"datasets.{name}: a set's name is made of letters, digits, - and _")
        for track in ("embedding", "reranker"):
            block: Track = getattr(self, track)
            for domain in ("in_domain", "out_of_domain"):
                name = getattr(block, domain)
                if name is not None and name not in self.datasets:
                    raise ValueError(
                        f"{track}.{domain}: no data set is named {name!r}; there are {', '.join(self.datasets)}"
                    )
            if block.in_domain == block.out_of_domain:
                raise ValueError(f"{track}.out_of_domain: it is the in-domain set; name another one, or null")
            self._known_guard(track)
        return self

    def _known_guard(self, track: str) -> None:
        block: Track = getattr(self, track)
        name = block.guard.dataset
        if name is not None and name not in self.datasets:
            raise ValueError(
                f"{track}.guard.dataset: no data set is named {name!r}; there are {', '.join(self.datasets)}"
            )
        if name is not None and name == block.out_of_domain:
            raise ValueError(
                f"{track}.guard.dataset: {name} is the out-of-domain set, which neither replay nor the guard may see: "
                "name a third set, or null"
            )
        if name is not None and name == block.in_domain:
            raise ValueError(f"{track}.guard.dataset: {name} is the in-domain set: name a third set, or null")

    @model_validator(mode="after")
    def _labels(self) -> "Params":
        for track in ("embedding", "reranker"):
            block = self.track(track)
            if block.triplets.strategy != "teacher_top_k":
                continue
            if block.loss.label_weight > 0:
                raise ValueError(
                    f"{track}.loss.label_weight: the strategy teacher_top_k sets labels aside: set label_weight to 0"
                )
            if self.baselines.labels_only:
                raise ValueError(
                    f"{track}.triplets.strategy: teacher_top_k sets labels aside: set baselines.labels_only to false"
                )
        return self

    def track(self, name: str) -> EmbeddingTrack | RerankerTrack:
        """A track's block by its name."""
        return self.embedding if name == "embedding" else self.reranker

    @model_validator(mode="after")
    def _processes(self) -> "Params":
        for track in ("embedding", "reranker"):
            train = self.training(track)
            if train.batch_size % train.processes:
                raise ValueError(
                    f"train.processes: {train.processes} processes cannot share a batch of {train.batch_size} "
                    f"({track}): make train.batch_size a multiple"
                )
        return self

    def training(self, name: str) -> Train:
        """A track's training settings: its own where it has them, the shared ones elsewhere.

        Shared `epochs` of 0 hold for both tracks: nothing is trained then.
        """
        own = self.track(name).train.model_dump(exclude={"epochs"} if self.train.epochs == 0 else None)
        return self.train.model_copy(update={key: value for key, value in own.items() if value is not None})
