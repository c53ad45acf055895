"""What models find in whole corpora, compared as their rankings of candidates are."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from decant.evaluate.metrics.corpus import MEASURES
from decant.report.comparison import NAMES, Metrics
from decant.report.figures import interval, p_value
from decant.report.seeds import paired_difference
from decant.report.settings import ReportSettings
from decant.report.statistics import holm

Found = Mapping[str, Mapping[str, Metrics]]  # domain → data set → measure → one value a query


def read_found(folder: Path) -> dict[str, Found]:
    """The measures of each model, from the files of rankings in a folder; none where no corpus was searched."""
    found: dict[str, Found] = {}
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path, columns=["domain", "dataset", *MEASURES])
        sets: dict[str, dict[str, Metrics]] = {}
        of = list(zip(*(table[name].to_pylist() for name in ("domain", "dataset")), strict=True))
        for domain, dataset in dict.fromkeys(of):
            rows = table.filter([each == (domain, dataset) for each in of])
            sets.setdefault(domain, {})[dataset] = {name: rows[name].to_numpy() for name in MEASURES}
        found[path.stem] = sets
    return found


def compare_corpora(found: Mapping[str, Found], settings: ReportSettings, seed: int) -> dict[str, Any]:
    """domain → data set → `queries` and, of each measure, the models' means and the change, after − before.

    Args:
        found: by model.
        settings: of tests and intervals.
        seed: of their resamples.
    """
    compared: dict[str, Any] = {}
    for domain, sets in found.get("after", {}).items():
        for dataset, after in sets.items():
            entry: dict[str, Any] = {"queries": len(after["map@100"])}
            models = {model: of[domain][dataset] for model, of in found.items() if dataset in of.get(domain, {})}
            for measure in MEASURES:
                change = paired_difference(after[measure], models["before"][measure], settings, seed)
                entry[measure] = {
                    **{name: round(float(np.mean(values[measure])), 6) for name, values in models.items()},
                    "change": {name: round(getattr(change, name), 6) for name in ("mean", "low", "high", "p_value")},
                }
            compared.setdefault(domain, {})[dataset] = entry
    return compared


def adjust_corpora(comparison: Mapping[str, Any]) -> None:
    """Add to every change `p_holm`, adjusted for all changes that stand in the table of corpora."""
    changes = [entry[measure]["change"] for _, _, entry in _entries(comparison) for measure in MEASURES]
    for change, adjusted in zip(changes, holm([change["p_value"] for change in changes]), strict=True):
        change["p_holm"] = round(adjusted, 6)


def corpora_table(comparison: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows of the table, from metrics/comparison.json; no rows where no corpus was searched."""
    entries = list(_entries(comparison))
    shown = [name for name in NAMES if any(name in entry["map@100"] for _, _, entry in entries)]
    rows = []
    for track, named, entry in entries:
        for measure, (label, _) in MEASURES.items():
            values, change = entry[measure], entry[measure]["change"]
            p = p_value(change["p_holm"], comparison[track]["resamples"], len(entries) * len(MEASURES))
            means = [f"{values[name]:.4f}" if name in values else "–" for name in shown]
            rows.append([track, named, label, *means, interval(**change), p])
    return ["track", "test set", "measure", *(NAMES[name] for name in shown), "after − before", "p (Holm)"], rows


def _entries(comparison: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for track, block in comparison.items():
        for domain, sets in block.get("corpora", {}).items():
            for dataset, entry in sets.items():
                yield track, f"{dataset}, {domain.replace('_', '-')}", entry
