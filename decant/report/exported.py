"""What a student loses and gains in other runtimes, as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from decant.files import read_json
from decant.report.figures import millions, percent, spread


def read_exported(folder: Path) -> dict[str, Any]:
    """What the stage `export` has measured: `metrics` and `cost`, see `decant.export.run.Exported`."""
    measured: dict[str, Any] = read_json(folder / "measured.json")
    return measured


def exported_table(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows, from metrics/comparison.json and metrics/cost.json; none where nothing was exported."""
    rows = []
    for track, block in comparison.items():
        if "exported" not in block:
            continue
        told, measured = block["exported"], cost[track]["exported"]
        for name, entry in {"student": {**told, "kept": True}, **told["formats"]}.items():
            shown = "student, PyTorch" if name == "student" else name
            figures = _measured(measured[name]) if entry["kept"] else ["refused", "–", "–"]
            rows.append([track, shown, *_of_dev(entry), *figures])
            for numbers, short in entry.get("shortened", {}).items():
                rows.append([track, f"{shown}@{numbers}", *_of_dev(short), "–", "–", "–"])
    return ["track", "format", "MAP on dev", "MAP lost", "size", "pairs/s (range)", "× the student's"], rows


def _of_dev(entry: Mapping[str, Any]) -> list[str]:
    return [f"{entry['map']:.4f}", percent(entry["loss"], digits=2) if "loss" in entry else "–"]


def _measured(entry: Mapping[str, Any]) -> list[str]:
    return [millions(entry["bytes"], "MB"), spread(entry["speed"]), f"{entry['ratio']['median']:.2f}"]
