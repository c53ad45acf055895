"""The whole report, from what the stages before it have written."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from decant.files import read_json
from decant.report.comparison import Metrics, adjust, compare
from decant.report.corpora import Searched, adjust_corpora, compare_corpora
from decant.report.opening import opening
from decant.report.page import render
from decant.report.ranked import RankedSet
from decant.report.settings import ReportSettings
from decant.report.table import markdown

Curve = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class TrackResults:
    """What the stages have written of a track."""

    runs: Mapping[str, Mapping[str, Mapping[str, Metrics]]]  # model → domain → data set → metric → value of each query
    searched: Searched  # what models find in the corpora
    sets: Mapping[str, Any]  # the cards of the track's sets
    exported: Mapping[str, Any]  # what the stage `export` has measured; empty where it did not run
    curves: Mapping[str, Curve]  # `loss`, `dev` and `guard` → points; empty where nothing was trained
    needed: Mapping[str, Any]  # what `decant curve` wrote; empty where it did not run
    ablations: Mapping[str, Any]  # grid → the table that `decant ablate` wrote; empty where none ran
    cost: Mapping[str, Any]  # `teacher`, `train` and `speed` → the content of data/cost/<track>/
    overlap: Mapping[str, Any]  # the content of metrics/<track>/overlap.json
    cut: Mapping[str, Any]  # data set → `test` → what the student cuts of the test splits; see `decant.evaluate.cuts`
    matches: Mapping[str, Any]  # domain → data set → what the threshold gets right; see `decant.evaluate.told`
    left_out: Mapping[str, Any]  # the content of metrics/<track>/left_out.json
    guard: Mapping[str, Any]  # name of the guard set or None, and the MAP that the student may lose on it
    fresh_head: bool  # whether the student's head is drawn at random, so that `before` is chance
    baseline: Mapping[str, Any] | None  # the untouched model, if any, and whether teacher and student are made of it
    ranked: Sequence[RankedSet]  # the test sets, query by query
    models: Mapping[str, str]  # `teacher` and `student` → the name of the model


class Report(NamedTuple):
    """The contents of metrics/comparison.json, metrics/cost.json, report/table.md and report/index.html."""

    comparison: dict[str, Any]
    cost: dict[str, Any]
    table: str
    page: str


def build(
    tracks: Mapping[str, TrackResults], settings: ReportSettings, seed: int, origin: Sequence[tuple[str, str]]
) -> Report:
    """Compare the models of all tracks.

    Args:
        tracks: by name.
        settings: of the tests.
        seed: of their resamples.
        origin: what `decant.report.provenance.provenance` gives.
    """
    comparison = {name: _compare(track, settings, seed) for name, track in tracks.items()}
    adjust(comparison)
    adjust_corpora(comparison)
    cost = {
        name: {
            **_cost(track.cost),
            **track.searched.timed(),
            **({"exported": track.exported["cost"]} if track.exported else {}),
        }
        for name, track in tracks.items()
    }
    curves = {name: track.curves for name, track in tracks.items()}
    ranked = [of for track in tracks.values() for of in track.ranked]
    models = {name: track.models for name, track in tracks.items()}
    sentences = opening(comparison, cost, models, {name for name in tracks if curves[name]["loss"]})
    ablations = {
        f"Ablations: {grid}, {name}": table for name, track in tracks.items() for grid, table in track.ablations.items()
    }
    page = render(comparison, cost, curves, ranked, sentences, ablations, origin)
    return Report(comparison, cost, markdown(comparison, cost), page)


def read_plots(folder: Path) -> dict[str, Any]:
    """`curves`, `needed` and `ablations` of a track, from its folder in plots/."""
    files = {"needed": folder / "curve.json", "ablations": folder / "ablations.json"}
    curves = {name: _read_curve(folder / f"{name}.csv") for name in ("loss", "dev", "guard")}
    return {"curves": curves, **{name: read_json(path) if path.is_file() else {} for name, path in files.items()}}


def _read_curve(path: Path) -> list[dict[str, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in point.items() if value} for point in csv.DictReader(file)]


def _compare(track: TrackResults, settings: ReportSettings, seed: int) -> dict[str, Any]:
    def on(domain: str, dataset: str) -> dict[str, Metrics]:
        return {model: run[domain][dataset] for model, run in track.runs.items() if dataset in run.get(domain, {})}

    points = [{"alpha": None, "in_domain": None, "guard": None, **point} for point in track.curves["guard"]]
    return {
        "fresh_head": track.fresh_head,
        "resamples": settings.resamples,
        "confidence": settings.confidence,
        "domains": {
            domain: {dataset: compare(on(domain, dataset), settings, seed) for dataset in sets}
            for domain, sets in track.runs["after"].items()
        },
        **({"corpora": compare_corpora(track.searched.found, settings, seed)} if track.searched.found else {}),
        "baseline": track.baseline,
        "guard": {**track.guard, "points": points, "alpha": track.cost["train"]["alpha"]},
        "sets": track.sets,
        "overlap": track.overlap,
        **({"left_out": track.left_out} if track.left_out else {}),
        **({"cut": cut} if (cut := list(_cut(track))) else {}),
        **({"matches": track.matches} if track.matches else {}),
        **({"needed": track.needed} if track.needed else {}),
        **({"exported": track.exported["metrics"]} if track.exported else {}),
    }


def _cut(track: TrackResults) -> Iterator[dict[str, Any]]:
    """What teacher and student cut of the texts of each split; nothing of what they read whole."""
    teacher, student = (track.cost[name]["cut"] for name in ("teacher", "train"))
    for model, cut in (("teacher", teacher), ("student", student), ("student", track.cut)):
        for dataset, splits in cut.items():
            for split, counts in splits.items():
                for what, count in counts.items():
                    if count["cut"]:
                        yield {"model": model, "dataset": dataset, "split": split, "what": what, **count}


def _cost(cost: Mapping[str, Any]) -> dict[str, Any]:
    teacher, student = ({key: cost[name][key] for key in ("parameters", "bytes")} for name in ("teacher", "train"))
    seconds, speed = cost["train"]["seconds"], cost["speed"]
    scoring = dict[str, dict[str, float]]()
    for engine_and_host, figures in cost["teacher"].get("engines", {}).items():
        of_engine = scoring.setdefault(engine_and_host.partition(" on ")[0], {})
        for name in ("prompts", "tokens", "seconds"):
            of_engine[name] = of_engine.get(name, 0) + figures.get(name, 0)
    passes = {"scoring": scoring} if scoring else {}
    return {"teacher": teacher, "student": student, **passes, "training_seconds": seconds, "speed": speed}
