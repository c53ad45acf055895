"""The house: who imports whom, and that dvc.yaml knows of it."""

import re
from collections.abc import Iterable

import pytest
import yaml

from tests.support.imports import imports_of, modules, room_of
from tests.support.project import ROOT

FLOOR = {"errors", "files", "progress", "processes", "paths", "blocks", "preloaded"}
MAY_IMPORT = {
    "data": set(),
    "sources": set(),
    "models": {"data", "sources"},
    "fetch": {"data", "sources", "models"},
    "score": {"data", "sources", "models"},
    "triplets": {"data"},
    "evaluate": {"data", "models"},
    "train": {"data", "models", "evaluate"},
    "retrieve": {"data", "models", "score", "evaluate"},
    "export": {"data", "models", "evaluate"},
    "report": {"evaluate"},
    "experiments": {"params", "evaluate", "report"},
    "publish": {"params", "sources", "evaluate", "report", "train"},
    "kinds": {"models", "train", "score"},
}
ANYTHING = {"stages", "commands"}
STAGES = (
    *("adapt", "check", "evaluate", "export", "fetch", "mine", "overlap", "report", "retrieve", "score", "train"),
    "triplets",
)
# A stage does not depend on these: the ground floor decides nothing, and what `sources` finds is pinned by checksum.
ASIDE = FLOOR | {"params", "kinds", "sources", "stages", "tracks", "decant"}


def arrows() -> set[tuple[str, str]]:
    """(room, other room) of every import between two rooms."""
    pairs = {(room_of(module), room_of(other)) for module in modules() for other in imports_of(module)}
    return {(room, other) for room, other in pairs if room != other and other not in FLOOR | {"decant"}}


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of(module) for module in modules()}
    assert rooms == {*MAY_IMPORT, *FLOOR, *ANYTHING, "params", "tracks", "decant"}


def test_rooms_import_only_what_they_may() -> None:
    wrong = [
        (room, other)
        for room, other in sorted(arrows())
        if room not in ANYTHING | {"params", "tracks"} and other not in MAY_IMPORT.get(room, set())
    ]
    assert wrong == []


def test_report_imports_the_metrics_of_evaluate_alone() -> None:
    used = {other for module in modules() if room_of(module) == "report" for other in imports_of(module)}
    assert {other for other in used if room_of(other) == "evaluate"} <= {
        name for name in modules() if name.startswith("decant.evaluate.metrics")
    }


def test_params_import_settings_alone() -> None:
    imported = imports_of("decant.params") | imports_of("decant.tracks")
    others = {name for name in imported if room_of(name) not in FLOOR | {"kinds", "tracks"}}
    registries = {"decant.train.losses"}
    assert {name for name in others if not name.endswith(".settings")} <= registries


def test_arrows_between_rooms_are_few() -> None:
    between = {(room, other) for room, other in arrows() if room not in ANYTHING}
    assert len(between) <= 226 // 3


def test_no_import_goes_round_in_a_circle() -> None:
    done: set[str] = set()

    def follow(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(imports_of(module)):
                follow(other, (*path, module))
            done.add(module)

    for module in modules():
        follow(module, ())


def closure(module: str) -> set[str]:
    """The rooms that a stage's code comes from: those it imports, and those that these import."""
    seen: set[str] = set()
    left = [module]
    while left:
        for other in imports_of(left.pop()):
            if room_of(other) not in ASIDE and other not in seen:
                seen.add(other)
                left.append(other)
    return {f"decant/{room_of(name)}" for name in seen}


def pipeline() -> Iterable[tuple[str, dict[str, object]]]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return [(name, stage.get("do", stage)) for name, stage in stages.items()]


@pytest.mark.parametrize(("name", "stage"), pipeline(), ids=[name for name, _ in pipeline()])
def test_dvc_yaml_lists_the_code_that_a_stage_imports(name: str, stage: dict[str, list[str]]) -> None:
    module = re.search(r"-m (stages\.\w+)", str(stage["cmd"]))
    assert module is not None
    code = {dep for dep in stage["deps"] if dep.startswith(("decant/", "stages/"))}
    aside = {dep for dep in code if dep.removeprefix("decant/").removesuffix(".py") in ASIDE}
    assert code - aside == closure(module[1]) | {module[1].replace(".", "/") + ".py"}


def test_stages_holds_the_stages_and_nothing_else() -> None:
    assert sorted(path.stem for path in (ROOT / "stages").glob("*.py")) == sorted(["__init__", "cli", *STAGES])


def test_no_code_asks_for_a_track_or_a_class_of_models_by_name() -> None:
    """`decant.kinds` says once what each kind of model needs."""
    patterns = r'track == "', r"isinstance\([^)]*(SentenceTransformer|CrossEncoder)"
    for module, path in modules().items():
        if module != "decant.kinds":
            text = path.read_text(encoding="utf-8")
            assert not [pattern for pattern in patterns if re.search(pattern, text)], module


def test_tests_mirror_the_rooms_and_import_no_test() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders <= {*MAY_IMPORT, "house", "ground", "commands", "pipeline", "benchmarks"} - {"kinds"}
    for path in (ROOT / "tests").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) (\S+\.)?test_", path.read_text(encoding="utf-8"), re.MULTILINE), path
