"""What models find in corpora, compared as their rankings of candidates are."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from decant.evaluate.metrics.corpus import MEASURES
from decant.files import read_json
from decant.report.comparison import NAMES, Metrics
from decant.report.figures import interval, millions, p_value
from decant.report.seeds import paired_difference
from decant.report.settings import ReportSettings
from decant.report.statistics import holm

CORPORA = "Over a corpus"
CORPORA_NOTES = {
    CORPORA: (
        "Each model ranks all of these documents for each of these test queries; what is not judged counts as "
        "irrelevant. The block retrieve of params.yaml says which documents: the set's whole corpus, or all candidates "
        "of its test split. Interval and p as above, p adjusted for the rows of this table."
    ),
    "In a row": (
        "BM25 or the embedding student finds documents in the corpus, and the reranker student puts the first of them "
        "in order: Recall@100 is that of the search, which the order cannot raise. In-domain is what the searching "
        "student was trained on; where the reranker was trained on another set, that set's rows show it at home. "
        "Milliseconds for one query, in turns, on this machine; memory: weights and index. Teachers in a row are not "
        "timed. The difference from BM25 is of nDCG@10, with its bootstrap interval over queries."
    ),
    "Indexes": (
        "Of the trained student's embeddings of the in-domain corpus, by faiss: what share of the exact search's first "
        "10 and 100 documents an index finds, and its time for one query's vector, in turns, on this machine."
    ),
}
SHOWN = ("ndcg@10", "mrr@10", "recall@10", "recall@100")  # of systems in a row; the last is the first stage's
Found = Mapping[str, Mapping[str, Metrics]]  # domain → data set → measure → one value a query


class Searched(NamedTuple):
    """What a track's models find, by model; milliseconds and bytes of systems, and of indexes with what they find."""

    found: Mapping[str, Found]
    systems: Mapping[str, Any]
    indexes: Mapping[str, Any]

    def timed(self) -> dict[str, Any]:
        """`systems` and `indexes`, each where there are any."""
        return {name: value for name in ("systems", "indexes") if (value := getattr(self, name))}


NOT_SEARCHED = Searched({}, {}, {})


def read_searched(folder: Path) -> Searched:
    """What the stage `retrieve` wrote into a folder."""
    found: dict[str, Found] = {}
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path, columns=["domain", "dataset", "searched", *MEASURES])
        sets: dict[str, dict[str, Metrics]] = {}
        of = list(zip(*(table[name].to_pylist() for name in ("domain", "dataset")), strict=True))
        for domain, dataset in dict.fromkeys(of):
            rows = table.filter([each == (domain, dataset) for each in of])
            sets.setdefault(domain, {})[dataset] = {name: rows[name].to_numpy() for name in ("searched", *MEASURES)}
        found[path.stem] = sets
    return Searched(found, **read_json(folder / "latency.json"))


def compare_corpora(found: Mapping[str, Found], settings: ReportSettings, seed: int) -> dict[str, Any]:
    """domain → data set → `queries`, `documents`, and of each measure the models' means and the change, after − before.

    There is no change where `before` did not search.

    Args:
        found: by model.
        settings: of tests and intervals.
        seed: of their resamples.
    """
    compared: dict[str, Any] = {}
    for domain, sets in found.get("after", {}).items():
        for dataset, after in sets.items():
            entry: dict[str, Any] = {"queries": len(after["searched"]), "documents": int(after["searched"][0])}
            models = {model: of[domain][dataset] for model, of in found.items() if dataset in of.get(domain, {})}
            for measure in MEASURES:
                entry[measure] = {name: round(float(np.mean(of[measure])), 6) for name, of in models.items()}
                if "before" in models:
                    change = paired_difference(after[measure], models["before"][measure], settings, seed)
                    entry[measure]["change"] = change.rounded()
            systems = [name for name in models if "+" in name]
            if systems and "bm25" in models:
                entry["ndcg@10"]["over_bm25"] = {
                    name: paired_difference(
                        models[name]["ndcg@10"], models["bm25"]["ndcg@10"], settings, seed
                    ).rounded()
                    for name in ("after", *systems)
                }
            compared.setdefault(domain, {})[dataset] = entry
    return compared


def adjust_corpora(comparison: Mapping[str, Any]) -> None:
    """Add to every change `p_holm`, adjusted for all changes that stand in the table of corpora."""
    changes = _changes(comparison)
    for change, adjusted in zip(changes, holm([change["p_value"] for change in changes]), strict=True):
        change["p_holm"] = round(adjusted, 6)


def corpora_tables(
    comparison: Mapping[str, Any], cost: Mapping[str, Any]
) -> dict[str, tuple[list[str], list[list[str]]]]:
    """The tables by their titles, headers and rows each, from metrics/comparison.json and metrics/cost.json."""
    return {
        CORPORA: corpora_table(comparison),
        "In a row": in_a_row_table(comparison, cost),
        "Indexes": indexes_table(cost),
    }


def corpora_table(comparison: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows of the table, from metrics/comparison.json; no rows where no corpus was searched.

    Its last two columns, of the change, are there where `before` searched too.
    """
    entries, tests = list(_entries(comparison)), len(_changes(comparison))
    shown = [name for name in NAMES if any(name in entry["map@100"] for _, _, entry in entries)]
    rows = []
    for track, named, entry in entries:
        for measure, (label, _) in MEASURES.items():
            values, change = entry[measure], entry[measure].get("change")
            changed = ["–", "–"]
            if change:
                changed = [interval(**change), p_value(change["p_holm"], comparison[track]["resamples"], tests)]
            means = [f"{values[name]:.4f}" if name in values else "–" for name in shown]
            size = [f"{entry[name]:,}" for name in ("queries", "documents")]
            rows.append([track, named, *size, label, *means, *(changed if tests else [])])
    headers = ["track", "test set", "queries", "documents", "measure", *(NAMES[name] for name in shown)]
    return [*headers, *(["after − before", "p (Holm)"] if tests else [])], rows


def in_a_row_table(comparison: Mapping[str, Any], cost: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows of two students in a row; no rows where no reranker was asked for.

    From metrics/comparison.json and metrics/cost.json, which has each system's latency and memory.
    """
    rows = []
    for track, named, entry in _entries(comparison):
        timed = cost[track].get("systems", {})
        for system in [*timed, *(name for name in entry["map@100"] if "+" in name and name not in timed)]:
            if system in entry["map@100"]:
                means = [f"{entry[measure][system]:.4f}" for measure in SHOWN]
                over, taken = entry["ndcg@10"].get("over_bm25", {}).get(system), timed.get(system)
                shown = taken and "in-domain" in named
                times = [f"{taken[share]:.1f}" if shown else "–" for share in ("p50", "p95")]
                changed = "–" if over is None else interval(**over)
                memory = millions(taken["bytes"], "MB", digits=int(taken["bytes"] < 1e7)) if shown else "–"
                rows.append([named, system_words(system, track), *means, changed, *times, memory])
    labels = [MEASURES[measure][0] for measure in SHOWN]
    headers = ["test set", "system", *labels, "nDCG@10 − BM25's", "ms, p50", "ms, p95", "memory"]
    return headers, rows


def in_domain_gains(block: Mapping[str, Any]) -> Mapping[str, float]:
    """nDCG@10 over the in-domain corpus by system, from a track's block of metrics/comparison.json."""
    entry: Mapping[str, Any] = next(iter(block["corpora"]["in_domain"].values()))
    return {name: value for name, value in entry["ndcg@10"].items() if isinstance(value, float)}


def indexes_table(cost: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows of indexes beside the exact search, from metrics/cost.json; no rows without any."""
    rows = []
    for track, measured in cost.items():
        for name, of in measured.get("indexes", {}).items():
            figures = [f"{of[key]:.4f}" for key in ("recall@10", "recall@100", "ndcg@10")]
            times = [f"{of[share]:.2f}" for share in ("p50", "p95")]
            rows.append([track, name, *figures, millions(of["bytes"], "MB", digits=1), *times])
    headers = ["track", "index", "of the exact 10", "of the exact 100", "nDCG@10", "size", "ms, p50", "ms, p95"]
    return headers, rows


def _changes(comparison: Mapping[str, Any]) -> list[dict[str, float]]:
    """The change of each measure, wherever `before` searched too."""
    changes = (entry[measure].get("change") for _, _, entry in _entries(comparison) for measure in MEASURES)
    return [change for change in changes if change is not None]


def system_words(system: str, track: str) -> str:
    """A system as tables and charts name it."""
    search, _, reranker = system.partition("+")
    first = {"bm25": "BM25", "teacher": f"{track} teacher"}.get(search, f"{track} student")
    if reranker.endswith("-teacher"):
        return f"{first} → {reranker.replace('-', ' ')}"
    return f"{first} → {reranker} student" if reranker else first


def _entries(comparison: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for track, block in comparison.items():
        for domain, sets in block.get("corpora", {}).items():
            for dataset, entry in sets.items():
                yield track, f"{dataset}, {domain.replace('_', '-')}", entry
