"""The typed schema of params.yaml: every knob, what it may be, and clear words for what it may not."""

import difflib
import io
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from decant.errors import DecantError

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Reference = Annotated[str, Field(pattern=r"^(package|path|hub):\S.*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

# The engines that can score each kind, whether this version has them or not.
ENGINES_OF = {
    "bi_encoder": ("sentence-transformers", "vllm"),
    "cross_encoder": ("sentence-transformers", "vllm"),
    "causal_lm": ("transformers", "vllm"),
}


class Block(BaseModel):
    """A block of params.yaml: unknown keys are refused, and nothing is converted behind the user's back."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Splits(Block):
    """The source's name of each split (a file for `path:`); null carves the split from train."""

    train: str | None
    dev: str | None
    test: str | None


class DataSet(Block):
    """One reranking set; see docs/params.md."""

    source: Reference
    revision: str | None
    format: Literal["rows", "beir", "icd10", "pydocs"]
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
        _pinned(self.source, self.revision)
        return self


class Model(Block):
    """What every model's block holds."""

    model: Reference
    revision: str | None
    sha256: Sha256 | None
    max_length: Positive
    trust_remote_code: bool

    @model_validator(mode="after")
    def _revision(self) -> "Model":
        _pinned(self.model, self.revision)
        return self


class Teacher(Model):
    """The model whose scores are the targets."""

    kind: Literal["bi_encoder", "cross_encoder", "causal_lm"]
    engine: Literal["sentence-transformers", "transformers", "vllm"]
    query_prompt: str | None
    document_prompt: str | None
    dtype: Literal["float32", "bfloat16", "float16"]
    batch_size: Positive

    @model_validator(mode="after")
    def _possible(self) -> "Teacher":
        if self.engine not in ENGINES_OF[self.kind]:
            raise ValueError(
                f"the engine {self.engine} cannot score a {self.kind}: choose {' or '.join(ENGINES_OF[self.kind])}"
            )
        if self.kind == "cross_encoder" and (self.query_prompt or self.document_prompt):
            raise ValueError("a cross_encoder takes no prompts: set query_prompt and document_prompt to null")
        return self


class Student(Model):
    """The model that is trained."""

    layers: list[Annotated[int, Field(ge=0)]] | None

    @model_validator(mode="after")
    def _layers(self) -> "Student":
        if self.layers is not None and (not self.layers or sorted(set(self.layers)) != self.layers):
            raise ValueError("`layers` must be layer numbers in ascending order, from 0, each once; null keeps all")
        return self


class EmbeddingStudent(Student):
    """A bi-encoder student; a null prompt means the model's own."""

    query_prompt: str | None
    document_prompt: str | None


class RerankerStudent(Student):
    """A cross-encoder student; a `fresh` head is initialised from the seed."""

    head: Literal["fresh", "keep"]


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

    def training(self, name: str) -> Train:
        """A track's training settings: its own where it has them, the shared ones elsewhere."""
        own = self.track(name).train.model_dump()
        return self.train.model_copy(update={key: value for key, value in own.items() if value is not None})


def _pinned(reference: str, revision: str | None) -> None:
    remote = reference.startswith("hub:")
    if remote and not re.fullmatch(r"[0-9a-f]{40}", revision or ""):
        found = "null" if revision is None else repr(revision)
        raise ValueError(f"`revision` is {found}, and {reference} must be pinned to a commit: 40 hexadecimal digits")
    if not remote and revision is not None:
        raise ValueError(f"`revision` is {revision!r}, and {reference} has none: set it to null")


def load_params(path: Path) -> Params:
    """Read and validate a params file.

    Raises:
        DecantError: the file is missing, no YAML, or breaks the schema; every fault is listed with its key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DecantError(
            f"{path}: there is no such file", "run in the project's folder, or `git checkout -- params.yaml`"
        ) from error
    except UnicodeDecodeError as error:
        raise DecantError(f"{path}: not UTF-8 ({error.reason})", "save the file as UTF-8") from error
    return parse_params(text, str(path))


def parse_params(text: str, name: str = "params.yaml") -> Params:
    """Validate the text of a params file; see `load_params`.

    A YAML 1.2 reader is used, for which `2e-05`, as DVC writes it, is a number.
    """
    try:
        content = YAML(typ="safe", pure=True).load(io.StringIO(text))
    except RecursionError as error:
        raise DecantError(f"{name}: nested too deeply", "keep to the keys of the presets") from error
    except YAMLError as error:
        raise DecantError(f"{name}: not valid YAML\n{error}", "mend the line that the message names") from error
    except Exception as error:  # the reader raises errors of any kind for a value that its tag or its date belies
        raise DecantError(
            f"{name}: not valid YAML ({type(error).__name__}: {error})", "mend the tags (!!…), dates and numbers in it"
        ) from error
    if not isinstance(content, dict):
        raise DecantError(f"{name}: the file holds no keys", "start from a preset: `cp presets/qwen3.yaml params.yaml`")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        faults = "\n".join(f"  {_explain(fault)}" for fault in error.errors(include_url=False))
        raise DecantError(
            f"{name}:\n{faults}", "correct the keys named above; docs/params.md lists them all"
        ) from error


def _explain(fault: Any) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(fault["loc"][-1]), _keys_at(fault["loc"][:-1]), n=1)
        return f"{path}: unknown key" + (f"; did you mean `{close[0]}`?" if close else "")
    if fault["type"] == "missing":
        return f"{path}: missing; every key is written out, null meaning 'inherit' or 'none'"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if fault["type"] == "value_error":
        return f"{path}: {message}" if path else message
    return f"{path}: found {fault['input']!r}, allowed: {message}"


def _keys_at(location: tuple[Any, ...]) -> list[str]:
    """The keys that the schema has at a place; a set's name, under `datasets`, leads to `DataSet`."""
    block: type[BaseModel] = Params
    for part in location:
        field = block.model_fields.get(part)
        inner = field.annotation if field else DataSet
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            block = inner
    return list(block.model_fields)
