"""Every file in presets/ is a params.yaml that works as it is: the schema takes it, and DVC makes its stages of it."""

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.tokens import AliasToken, AnchorToken

from decant.params import load_params
from tests.support.project import ROOT, Project, copy_of_the_checkout

PRESETS = sorted((ROOT / "presets").glob("*.yaml"))
assert PRESETS, "presets/ holds no file"
PINNED = re.compile(r"[0-9a-f]{40}")

pytestmark = pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)


@pytest.fixture
def clone(tmp_path: Path) -> Project:
    return copy_of_the_checkout(tmp_path / "clone")


def references(block: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Every (reference, revision) in a params file, whichever block it stands in."""
    for key, value in block.items():
        if key in ("source", "model"):
            yield value, block.get("revision")
        elif isinstance(value, dict):
            yield from references(value)


def test_the_schema_accepts_it(preset: Path) -> None:
    params = load_params(preset)
    for track in params.tracks.values():
        assert {track.in_domain, track.out_of_domain} <= {*params.datasets, None}


def test_what_comes_from_a_hub_is_pinned_to_a_commit(preset: Path) -> None:
    found = list(references(load_params(preset).model_dump()))
    assert len(found) >= 5  # a set, and for each track a teacher and a student
    for reference, revision in found:
        if reference.startswith("hub:"):
            assert PINNED.fullmatch(revision or ""), f"{reference} is at {revision!r}"
        else:
            assert revision is None


def test_it_has_no_anchors_which_dvc_exp_run_cannot_set(preset: Path) -> None:
    tokens = YAML().scan(preset.read_text(encoding="utf-8"))
    assert not [token for token in tokens if isinstance(token, AnchorToken | AliasToken)]


def test_dvc_makes_its_stages_of_it(preset: Path, clone: Project) -> None:
    shutil.copy(preset, clone.folder / "params.yaml")
    assert "params.yaml is valid" in clone.dvc("repro", "--force", "check")
    stages = set(clone.dvc("stage", "list", "--name-only").split())
    sets = load_params(preset).datasets
    assert {stage for stage in stages if stage.startswith("fetch")} == {f"fetch@{name}" for name in sets}
    for stage in ("mine", "score", "triplets", "train", "evaluate_after"):
        assert {f"{stage}@embedding", f"{stage}@reranker"} <= stages
