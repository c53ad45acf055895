"""Read and validate params.yaml, with clear words for every fault."""

import difflib
import io
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from decant.blocks import Block, Seed, Share
from decant.errors import DecantError
from decant.evaluate.settings import Baselines, Evaluate
from decant.fetch.settings import DataSet, Mine
from decant.models.settings import EmbeddingStudent, RerankerStudent
from decant.report.settings import Report
from decant.score.settings import Store, Teacher
from decant.train.settings import Loss, Train, TrainOverride
from decant.triplets.settings import Triplets


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
