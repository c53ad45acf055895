"""params.yaml as a whole: read, validated, and with clear words for every fault."""

import difflib
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError, create_model, model_validator

from decant import paths
from decant.blocks import Block, NullIsEmpty, Seed, blocks_in
from decant.errors import DecantError
from decant.evaluate.settings import Baselines, Evaluate
from decant.export.settings import Export
from decant.fetch.settings import DataSet, Union
from decant.kinds import TRACKS
from decant.report.settings import ReportSettings
from decant.retrieve.settings import Retrieve
from decant.score.settings import FORMS, StoreSettings
from decant.tracks import Track, track_settings
from decant.train.settings import Tracker, Train


class Params(Block):
    """All of params.yaml."""

    seed: Seed
    """Of every draw and of training."""
    datasets: dict[str, DataSet]
    """The sets, by name."""
    unions: Annotated[dict[str, Union], NullIsEmpty] = Field(default_factory=dict)
    """Sets that are made of these, by name."""
    retrieve: Annotated[dict[str, Annotated[Retrieve, NullIsEmpty]], NullIsEmpty] = Field(default_factory=dict)
    """Which tracks' models search corpora of their test sets, by the names of the tracks."""
    export: Annotated[dict[str, Annotated[Export, NullIsEmpty]], NullIsEmpty] = Field(default_factory=dict)
    """Which tracks' students are exported to other runtimes, by the names of the tracks."""
    train: Train
    """How students are trained, on all tracks."""
    trackers: list[Tracker] | None = None
    """What shows a training while it runs; null shows it nowhere. It decides no result, so that no stage is run again
    when it changes."""
    evaluate: Annotated[Evaluate, NullIsEmpty] = Evaluate()
    """How checkpoints are evaluated."""
    baselines: Baselines
    """What stands beside the students."""
    store: Annotated[StoreSettings, NullIsEmpty] = StoreSettings()
    """Where teachers' scores are kept."""
    report: Annotated[ReportSettings, NullIsEmpty]
    """How differences are tested."""

    def members(self, name: str) -> list[str]:
        """The sets that a union is made of; of another set, its own name alone."""
        return list(self.unions[name].union) if name in self.unions else [name]

    @property
    def tracks(self) -> dict[str, Track]:
        """Every track's block by its name."""
        return {name: getattr(self, name) for name in TRACKS}

    def track(self, name: str) -> Track:
        """A track's block by its name."""
        return self.tracks[name]

    def dimensions(self, track: str, model: str) -> list[int]:
        """To which lengths embeddings are shortened for evaluations of their own: a student's, before or after."""
        return (self.track(track).loss.dimensions or []) if model in ("before", "after", "labels_only") else []

    def teaches_untouched(self, track: str) -> bool:
        """Whether a track's teacher is the untouched model of `baselines`, with all numbers of its embeddings."""
        untouched = self.baselines.model, self.baselines.revision, None
        return [(each.model, each.revision, each.dimensions) for each in self.track(track).teacher.members] == [
            untouched
        ]

    @model_validator(mode="before")
    @classmethod
    def _shared_training(cls, content: Any) -> Any:
        """Lay the shared training settings under each track's own. Shared `epochs` of 0 hold for all tracks."""
        shared = content.get("train") if isinstance(content, dict) else None
        if not isinstance(shared, dict):
            return content
        merged = dict(content)
        for name in TRACKS:
            block = content.get(name)
            if isinstance(block, dict) and "train" in block and isinstance(own := block["train"] or {}, dict):
                own = {key: value for key, value in own.items() if key != "epochs" or shared.get(key)}
                merged[name] = {**block, "train": {**shared, **own}}
            adapt = block.get("adapt") if isinstance(block, dict) else None
            if isinstance(adapt, dict) and isinstance(own := adapt.get("train") or {}, dict):
                merged[name] = {**merged[name], "adapt": {**adapt, "train": {**shared, **own}}}
        return merged

    @model_validator(mode="after")
    def _known_sets(self) -> "Params":
        for key, name in [*(("datasets", name) for name in self.datasets), *(("unions", name) for name in self.unions)]:
            if not re.fullmatch(r"[\w-]+", name) or name == "None":
                raise ValueError(f"{key}.{name}: a set's name is made of letters, digits, - and _")
        for name, union in self.unions.items():
            if name in self.datasets:
                raise ValueError(f"unions.{name}: a data set has this name already")
            if unknown := [member for member in union.union if member not in self.datasets]:
                raise ValueError(f"unions.{name}.union: no data set is named {unknown[0]!r}")
        for name in self.retrieve:
            if name not in self.tracks or not TRACKS[name].embeds:
                able = " or ".join(track for track in self.tracks if TRACKS[track].embeds)
                raise ValueError(f"retrieve.{name}: no track of this name has a student that makes embeddings: {able}")
            for other in self.retrieve[name].rerankers:
                if other not in self.tracks or TRACKS[other].embeds:
                    able = " or ".join(track for track in self.tracks if not TRACKS[track].embeds)
                    raise ValueError(
                        f"retrieve.{name}.rerankers: {other} is no track whose student reads pairs: {able}"
                    )
                if self.retrieve[name].reranking_teachers and len(self.tracks[other].teacher.members) > 1:
                    raise ValueError(f"retrieve.{name}.reranking_teachers: the teacher of {other} is an ensemble")
        if unknown := [name for name in self.export if name not in self.tracks]:
            raise ValueError(f"export.{unknown[0]}: no track of this name: {' or '.join(self.tracks)}")
        for track, block in self.tracks.items():
            for domain in ("in_domain", "out_of_domain", "guard"):
                name = getattr(block, domain)
                if name is not None and name not in {**self.datasets, **self.unions}:
                    known = ", ".join((*self.datasets, *self.unions))
                    raise ValueError(f"{track}.{domain}: no data set is named {name!r}; there are {known}")
            named = (block.in_domain, block.out_of_domain, block.guard)
            used = [member for each in named if each is not None for member in self.members(each)]
            if twice := [member for member in used if used.count(member) > 1]:
                raise ValueError(
                    f"{track}: two of its sets are or have {twice[0]!r}: training sees the guard set, and must not see "
                    "the others' test splits"
                )
            adapted = f"path:{paths.TEACHERS / track}"
            models = [member.model for member in block.teacher.members]
            if (block.adapt is not None) != (adapted in models):
                given = "trains one" if block.adapt else "is null"
                raise ValueError(
                    f"{track}.teacher.model is {' and '.join(models)}, and {track}.adapt {given}: {adapted} is the "
                    "teacher that `adapt` trains, and the one needs the other"
                )
            if block.student.model == adapted and block.adapt is None:
                raise ValueError(
                    f"{track}.student.model is {adapted}, and {track}.adapt, which would train it, is null: set that, "
                    "or name another model"
                )
            if block.student.model == adapted and block.mine is not None and block.mine.method in ("dense", "both"):
                raise ValueError(
                    f"{track}.mine.method is {block.mine.method}, which searches with the student, and that is "
                    f"{adapted}, which is trained on what was mined: set it to bm25, or name another model"
                )
            if block.searcher is not None:
                others = [other for other, of in self.tracks.items() if other != track and of.searcher is None]
                searchers = [other for other in others if TRACKS[other].embeds]
                if block.searcher not in searchers:
                    raise ValueError(
                        f"{track}.searcher is {block.searcher}, and must be another track, whose student makes "
                        "embeddings and is not trained on what a student has found: "
                        + (" or ".join(searchers) or "there is none")
                    )
            if block.triplets.strategy == "teacher_top_k" and self.baselines.labels_only:
                raise ValueError(
                    f"{track}.triplets.strategy: teacher_top_k sets labels aside: set baselines.labels_only to false"
                )
            if block.triplets.false_negatives == "relabel" and self.baselines.labels_only:
                raise ValueError(
                    f"{track}.triplets.false_negatives: relabel makes positives that no label is of: set "
                    "baselines.labels_only to false"
                )
        return self


def schema() -> type[Params]:
    """The model of params.yaml: `Params`, and a field for each of `TRACKS`."""
    return _schema(tuple(TRACKS))


@cache
def _schema(tracks: tuple[str, ...]) -> type[Params]:
    fields: Any = {name: (track_settings(name), ...) for name in tracks}
    return create_model("Params", __base__=Params, __module__=__name__, __doc__=Params.__doc__, **fields)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads scalars as YAML 1.2 does, as DVC writes and reads them: `2e-05` is a number, `no` a string.

    A key that stands twice in a block is refused.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    fault = f"found duplicate key {key.value!r}"
                    raise yaml.constructor.ConstructorError(None, None, fault, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+0123456789.")),
    ("float", r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def read_yaml(text: str, name: str) -> Any:
    """The content of YAML text, its numbers as YAML 1.2 has them; a DecantError where it is not valid."""
    try:
        return yaml.load(text, _Loader)
    except RecursionError as error:
        raise DecantError(f"{name}: nested too deeply", "keep to the keys of the presets") from error
    except yaml.YAMLError as error:
        raise DecantError(f"{name}: not valid YAML\n{error}", "mend the line that the message names") from error
    except Exception as error:  # the reader raises errors of any kind for a value that its tag or its date belies
        raise DecantError(
            f"{name}: not valid YAML ({type(error).__name__}: {error})", "mend the tags (!!…), dates and numbers in it"
        ) from error


def load_params(path: Path) -> Params:
    """Read and validate a params file.

    Raises:
        DecantError: the file is missing, no YAML, or breaks the schema; every fault is listed with its key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        remedy = "run in the project's folder, or `git checkout -- params.yaml`"
        raise DecantError(f"{path}: there is no such file", remedy) from error
    except UnicodeDecodeError as error:
        raise DecantError(f"{path}: not UTF-8 ({error.reason})", "save the file as UTF-8") from error
    return parse_params(text, str(path))


def parse_params(text: str, name: str = "params.yaml") -> Params:
    """Validate the text of a params file; see `load_params`."""
    content = read_yaml(text, name)
    if not isinstance(content, dict):
        raise DecantError(f"{name}: the file holds no keys", "start from a preset: `cp presets/qwen3.yaml params.yaml`")
    return check_params(content, name)


def check_params(content: dict[str, Any], name: str = "params.yaml") -> Params:
    """Validate the content of a params file; see `load_params`."""
    try:
        return schema().model_validate(content)
    except ValidationError as error:
        faults = [_explain(fault, content) for fault in error.errors(include_url=False)]
        listed = "\n".join(f"  {fault}" for fault in dict.fromkeys(filter(None, faults)))
        remedy = "correct the keys named above; docs/params.md lists them all"
        raise DecantError(f"{name}:\n{listed}", remedy) from error


def _explain(fault: Any, content: dict[str, Any]) -> str | None:
    """A fault in one line; None for one that is told at its own place, in the shared training settings."""
    location = tuple(part for part in fault["loc"] if part not in FORMS)
    path = ".".join(str(part) for part in location)
    if fault["type"] == "missing":
        return f"{path}: missing; docs/params.md says what it may be"
    if location[1:2] == ("train",) and len(location) > 2 and location[2] not in (content[location[0]]["train"] or {}):
        return None
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(location[-1]), _keys_at(location[:-1]), n=1)
        return f"{path}: unknown key" + (f"; did you mean `{close[0]}`?" if close else "")
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if fault["type"] == "value_error":
        return f"{path}: {message}" if path else message
    return f"{path}: found {fault['input']!r}, allowed: {message}"


def _keys_at(location: tuple[Any, ...]) -> list[str]:
    """The keys that the schema has at a place; a set's name, under `datasets`, leads to `DataSet`."""
    blocks: list[type[BaseModel]] = [schema()]
    for part in location:
        fields = [block.model_fields[part] for block in blocks if part in block.model_fields]
        named: Any = {"unions": Union, "retrieve": Retrieve, "export": Export}.get(location[0], DataSet)
        if not isinstance(part, int):  # a place in a list
            blocks = [block for field in fields for block in blocks_in(field.annotation)] if fields else [named]
    return [key for block in blocks for key in block.model_fields]
