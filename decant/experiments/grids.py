"""The grid of ablations: cells, each of which changes something of a track's recipe."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from decant.blocks import Block, Seed
from decant.errors import DecantError
from decant.params import Params, check_params, read_yaml

Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]

# Of a teacher's block: keys that decide how fast it scores, and at most the last digits.
SPEED = {"batch_tokens", "engines", "engine_pool", "tensor_parallel"}


class Cell(Block):
    """One change of the recipe: the keys of params.yaml that it sets, by dotted path. None is the recipe itself."""

    track: str
    says: Annotated[str, Field(pattern=r"^[^|\n]+$")]
    set: dict[str, Any]


class Grid(Block):
    """All cells; `base` is set in each of them, and each runs with every seed."""

    seeds: Annotated[list[Seed], Field(min_length=1)]
    base: dict[str, Any]
    cells: Annotated[dict[Name, Cell], Field(min_length=1)]

    @model_validator(mode="after")
    def _seeds(self) -> "Grid":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: a seed stands there twice")
        if setters := [name for name, cell in self.cells.items() if "seed" in {**self.base, **cell.set}]:
            raise ValueError(f"{setters[0]} sets `seed`, or `base` does: `seeds` has them")
        return self

    def overrides(self, cell: str, seed: int) -> dict[str, Any]:
        """What a cell sets, by dotted path."""
        return {**self.base, **self.cells[cell].set, "seed": seed}

    def of_track(self, track: str) -> dict[str, Cell]:
        """The cells of a track, its whole recipe first."""
        cells = {name: cell for name, cell in self.cells.items() if cell.track == track}
        return dict(sorted(cells.items(), key=lambda item: bool(item[1].set)))


def read_grid(path: Path, params: Mapping[str, Any]) -> tuple[Grid, dict[str, str]]:
    """Read a grid and check all of it against the content of params.yaml, before anything is run.

    Returns:
        the grid, and the digest of each cell's params.

    Raises:
        DecantError: the file is missing or no grid, a key is unknown, a cell's params are impossible, a track's whole
            recipe is not there exactly once, or a cell, or one of its keys, changes nothing.
    """
    try:
        grid = Grid.model_validate(read_yaml(path.read_text(encoding="utf-8"), str(path)))
    except FileNotFoundError as error:
        raise DecantError(f"{path}: there is no such file", f"`git checkout -- {path}` brings it back") from error
    except ValidationError as error:
        faults = [f"  {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise DecantError("\n".join([f"{path}:", *faults]), "docs/ablations.md says what a grid holds") from error
    digests = {}
    for name, cell in grid.cells.items():
        content = changed(params, grid.overrides(name, grid.seeds[0]), f"{path}, {name}")
        if cell.track not in content.tracks:
            problem = f"{path}: cells.{name}.track is {cell.track}, which is no track"
            raise DecantError(problem, f"choose {' or '.join(content.tracks)}")
        digests[name] = digest(content, cell.track)
    for track in dict.fromkeys(cell.track for cell in grid.cells.values()):
        whole, *others = grid.of_track(track)
        if grid.cells[whole].set or any(not grid.cells[name].set for name in others):
            raise DecantError(
                f"{path}: the {track} track needs one cell that is its whole recipe; the others are compared with it",
                "give exactly one of its cells `set: {}`",
            )
        for name in others:
            if digests[name] == digests[whole]:
                raise DecantError(f"{path}: {name} sets what {whole} has already", "set another value, or leave it out")
            for key in grid.cells[name].set:
                _check_effect(grid, name, key, params, digests[name], path)
    return grid, digests


def changed(params: Mapping[str, Any], overrides: Mapping[str, Any], name: str) -> Params:
    """The validated params with some keys, given by dotted path, set otherwise than in the content of params.yaml.

    Raises:
        DecantError: a key is unknown, or the params are impossible; `name` is that of the cell, for the message.
    """
    content = json.loads(json.dumps(params))
    for path, value in overrides.items():
        *parents, key = path.split(".")
        block = content
        for parent in parents:
            if block.get(parent) is None:  # an absent block has its defaults, as far as they go
                block[parent] = {}
            block = block[parent]
            if not isinstance(block, dict):
                problem = f"{name}: {path}: {parent} is no block of params.yaml"
                raise DecantError(problem, "docs/params.md lists all keys")
        block[key] = value
    return check_params(content, name)


def _check_effect(grid: Grid, name: str, key: str, params: Mapping[str, Any], cell: str, path: Path) -> None:
    """Refuse a key that changes a value and no result, as `train.lr` does where `embedding.train.lr` overrides it."""
    overrides, track = grid.overrides(name, grid.seeds[0]), grid.cells[name].track
    value = overrides.pop(key)
    if key in grid.base:
        overrides[key] = grid.base[key]
    try:
        without = changed(params, overrides, f"{path}, {name}")
    except DecantError:  # the cell needs the key
        return
    before: Any = without.model_dump()
    for part in key.split("."):
        before = (before or {}).get(part)
    if digest(without, track) == cell and before != value:
        raise DecantError(
            f"{path}: {name} sets {key}, which changes nothing of the {track} track",
            f"leave it out, or set the track's own key (`{track}.train.…` overrides `train.…`)",
        )


def digest(params: Params, track: str) -> str:
    """What decides a track's student and its figures, the seed apart, as 16 hexadecimal digits.

    What decides the teacher's speed alone does not count. A key that is null says 'none' and does not count: params
    that know one key more are the same params. Nor does the size of a split that the track does not read.
    """
    block = params.track(track)
    unread = {block.in_domain: set(), block.out_of_domain: {"train", "dev"}, block.guard: {"test"}}
    decides: dict[str, Any] = {
        "track": block.model_dump(exclude={"teacher": {**dict.fromkeys(SPEED, True), "ensemble": {"__all__": SPEED}}}),
        "datasets": {
            member: params.datasets[member].model_dump(exclude=_undecided(params.datasets[member], splits))
            for name, splits in unread.items()
            if name is not None
            for member in params.members(name)
        },
    }
    if block.searcher is not None:
        decides["searcher"] = digest(params, block.searcher)
    if unions := {name: params.unions[name].model_dump() for name in unread if name in params.unions}:
        decides["unions"] = unions
    return hashlib.sha256(json.dumps(_known(decides), sort_keys=True).encode()).hexdigest()[:16]


def _undecided(dataset: Any, splits: set[str]) -> dict[str, Any]:
    return {**dict.fromkeys((*splits, *dataset.unread), True), "limits": splits}


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(inner) for key, inner in value.items() if inner is not None}
    return value
