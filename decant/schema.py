"""The typed schema of params.yaml: every knob, what it may be, and which combinations are impossible."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from decant.schema_models import (
    Block,
    EmbeddingStudent,
    Positive,
    Rate,
    Reference,
    RerankerStudent,
    Seed,
    Share,
    Student,
    Teacher,
    Temperature,
    pinned,
)

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
    format: Literal["rows", "beir", "mteb", "icd10", "pydocs"]
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
        if self.format in ("icd10", "pydocs"):
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


class Triplets(Block):
    """How n-tuples are drawn from the teacher's scores."""

    strategy: Literal["hardest", "random", "by_rank", "all_pairs", "teacher_top_k"]
    positives: Positive | None
    negatives: Positive

    @model_validator(mode="after")
    def _published(self) -> "Triplets":
        if self.strategy == "all_pairs" and (self.positives is not None or self.negatives != 1):
            raise ValueError(
                "all_pairs takes every positive with every negative: set positives to null and negatives to 1"
            )
        if self.strategy == "teacher_top_k" and self.positives is None:
            raise ValueError("teacher_top_k needs `positives`, the k of its top k")
        return self


class KLLoss(Block):
    """KL divergence on each n-tuple's scores, mixed with a contrastive term on the labels."""

    student_temperature: Temperature
    teacher_temperature: Temperature
    label_weight: Share


class MarginMSE(Block):
    """MarginMSE on the teacher's scores × `teacher_scale`, mixed with a contrastive term on the labels."""

    teacher_scale: Rate
    label_weight: Share


class Train(Block):
    """What both students' training shares."""

    lr: Rate
    epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    batch_size: Positive
    accumulate: Positive
    warmup: Share
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    evaluations: Positive
    precision: Literal["auto", "float32", "bfloat16"]
    processes: Positive
    chunk: Positive | None
    checkpointing: bool
    save_steps: Positive | None


class TrainOverride(Block):
    """A track's own training settings; null inherits."""

    lr: Rate | None
    epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    batch_size: Positive | None
    accumulate: Positive | None
    warmup: Share | None
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    evaluations: Positive | None
    precision: Literal["auto", "float32", "bfloat16"] | None
    processes: Positive | None
    chunk: Positive | None
    checkpointing: bool | None
    save_steps: Positive | None


class Track(Block):
    """What both tracks' blocks hold."""

    in_domain: str
    out_of_domain: str | None
    teacher: Teacher
    triplets: Triplets
    train: TrainOverride


class EmbeddingTrack(Track):
    """The embedding track: a bi-encoder student."""

    student: EmbeddingStudent
    loss: KLLoss


class RerankerTrack(Track):
    """The reranker track: a cross-encoder student."""

    student: RerankerStudent
    loss: MarginMSE


class Evaluate(Block):
    """How checkpoints are evaluated."""

    batch_size: Positive


class Baselines(Block):
    """Which baselines are trained beside the student."""

    labels_only: bool


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
        return self

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
        """A track's training settings: its own where it has them, the shared ones elsewhere."""
        own = self.track(name).train.model_dump()
        return self.train.model_copy(update={key: value for key, value in own.items() if value is not None})
