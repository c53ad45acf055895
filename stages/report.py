"""Compare before, after, teacher and baselines: metrics/comparison.json, metrics/cost.json and report/."""

import argparse
import csv
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from decant import paths
from decant.errors import DecantError
from decant.evaluate.run import read_metrics
from decant.files import atomic_folder, read_json, write_json
from decant.params import Params
from decant.report.comparison import NAMES, TestSettings, adjust, compare
from decant.report.page import render
from decant.report.table import markdown
from decant.train.guard import Point, choose
from stages import cli

TABLE = Path("report/table.md")


def main() -> None:
    """Write the four files."""
    params = cli.params()
    settings = TestSettings(**params.report.model_dump(), seed=params.seed)
    comparison: dict[str, Any] = {}
    cost: dict[str, Any] = {}
    curves = {}
    for track in TRACKS:
        block = params.track(track)
        runs = {model: read_metrics(paths.RUNS / track / f"{model}.parquet") for model in NAMES}
        datasets = {"in_domain": block.in_domain, "out_of_domain": block.out_of_domain}
        comparison[track] = {
            "fresh_head": track == "reranker" and params.reranker.student.head == "fresh",
            "resamples": settings.resamples,
            "confidence": settings.confidence,
            "domains": {
                domain: {
                    "dataset": datasets[domain],
                    **compare({model: run[domain] for model, run in runs.items() if domain in run}, settings),
                }
                for domain in runs["after"]
            },
            "baseline": _baseline(params, track),
            "guard": _guard(params, track),
            "overlap": read_json(paths.METRICS / track / "overlap.json"),
        }
        measured = {name: read_json(paths.COST / track / f"{name}.json") for name in ("teacher", "after", "train")}
        cost[track] = {
            "teacher": measured["teacher"],
            "student": measured["after"],
            "training_seconds": measured["train"]["seconds"],
        }
        curves[track] = {name: _read_curve(paths.PLOTS / track / f"{name}.csv") for name in ("loss", "dev")}
    adjust(comparison)
    with atomic_folder(Path("report")) as partial:
        (partial / "table.md").write_text(markdown(comparison, cost), encoding="utf-8")
        (partial / "index.html").write_text(render(comparison, cost, curves), encoding="utf-8")
    write_json(paths.METRICS / "comparison.json", comparison)
    write_json(paths.METRICS / "cost.json", cost)


def _baseline(params: Params, track: str) -> dict[str, Any] | None:
    """The untouched model, and which of the track's models are made of it."""
    model, block = params.baselines.model, params.track(track)
    if model is None:
        return None
    return {"model": model, "is_teacher": model == block.teacher.model, "is_student": model == block.student.model}


def _guard(params: Params, track: str) -> dict[str, Any]:
    """What was allowed to be lost, and the points between before and after training that were measured."""
    guard = params.track(track).guard
    points = [
        Point(point["alpha"], point["in_domain"], point.get("guard"))
        for point in _read_curve(paths.PLOTS / track / "guard.csv")
    ]
    return {
        "dataset": guard.dataset,
        "max_loss": guard.max_loss,
        "points": [asdict(point) for point in points],
        "alpha": choose(points, guard.max_loss).alpha,
    }


def show() -> None:
    """Print the table, and where the report lies."""
    if not TABLE.is_file():
        raise DecantError(f"{TABLE} is not there", "run `dvc repro`")
    print(TABLE.read_text(encoding="utf-8"))
    print(f"Report: {TABLE.with_name('index.html').absolute()}")


def _read_curve(path: Path) -> list[Mapping[str, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in point.items() if value} for point in csv.DictReader(file)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", action="store_true", help="print the table that was written last")
    cli.run("report", show if parser.parse_args().show else main)
