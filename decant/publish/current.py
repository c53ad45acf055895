"""Whether the results that are published with a student are that student's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decant import paths
from decant.errors import DecantError
from decant.files import read_json
from decant.params import read_yaml
from decant.report.comparison import compared_sets

AGAIN = "`dvc repro` brings the results up to the student"


def check_current(track: str, compared: Mapping[str, Any]) -> None:
    """Look whether the comparison is of the last evaluation, and that of the last training.

    Args:
        track: by name.
        compared: its block of metrics/comparison.json.

    Raises:
        DecantError: one is older than what it should describe.
    """
    evaluated, lock = paths.METRICS / track / "after.json", paths.LOCK
    if evaluated.is_file():
        means = read_json(evaluated)
        for of in compared_sets({track: compared}):
            domain = of.domain.replace("-", "_")
            if of.entry["map"]["after"] != means.get(domain, {}).get(of.dataset, {}).get("map"):
                raise DecantError(f"metrics/comparison.json is not of {evaluated}, on {of.dataset}", AGAIN)
    if lock.is_file():
        stages = read_yaml(lock.read_text(encoding="utf-8"), str(lock))["stages"]
        model = paths.MODELS / track
        trained = _recorded(stages, f"train@{track}", "outs", model)
        read = _recorded(stages, f"evaluate_after@{track}", "deps", model)
        if trained != read:
            raise DecantError(f"{model} has been trained anew since {evaluated} was written", AGAIN)


def _recorded(stages: Mapping[str, Any], stage: str, what: str, path: Path) -> str | None:
    """The checksum that dvc.lock has of a stage's file or folder."""
    found = (each for each in stages.get(stage, {}).get(what, ()) if each["path"] == path.as_posix())
    return next((each.get("md5") for each in found), None)
