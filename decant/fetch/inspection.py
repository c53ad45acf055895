"""What Decant understands of a file or folder that somebody brings, before any of it is fetched."""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from decant.data.sets import Row
from decant.errors import DecantError
from decant.fetch.build import Source
from decant.fetch.faults import Faults
from decant.fetch.items import Item
from decant.fetch.layouts.given import Given
from decant.fetch.readers import beir, trec
from decant.fetch.readers.rows import GPL
from decant.fetch.reading import format_of
from decant.fetch.settings import DataSet
from decant.fetch.validation import valid_rows

SHOWN = 3  # rows
LIMIT_OF_TEST = 500  # queries that are proposed as a test split
TASK = "Given a question, retrieve the passage that answers it"
DEV, TEST = "dev.jsonl", "test.jsonl"  # proposed where nothing can be carved
LABELLED = "dev and test need files with labels and negatives: write those of the block, or name others"
TREC_SUFFIXES = (".txt", ".trec", ".qrels", ".run")


@dataclass
class Inspection:
    """What a source holds; counts are of what is left when faults are dropped."""

    path: Path
    layout: str = ""
    split: str = ""
    queries: int = 0
    positives: int = 0
    negatives: int = 0
    candidates: int = 0  # without labels
    scores: int = 0  # that came with the data
    ids: int = 0  # candidates with an id
    grades: Counter[int] = field(default_factory=Counter)
    faults: Faults = field(default_factory=Faults)
    unused: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, int] = field(default_factory=dict)
    lengths: dict[str, dict[str, float]] = field(default_factory=dict)  # in characters
    rows: list[Row] = field(default_factory=list)
    block: dict[str, Any] = field(default_factory=dict)  # of params.yaml
    notes: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        """All of it for programs, as JSON can hold it."""
        faults = self.faults.card()
        return {
            "path": str(self.path),
            "layout": self.layout,
            "split": self.split,
            **{name: getattr(self, name) for name in ("queries", "positives", "negatives", "candidates", "scores")},
            "ids": self.ids,
            "grades": {str(grade): self.grades[grade] for grade in sorted(self.grades)},
            "faults": self.faults.total,
            "faults_by_kind": faults.pop("faults"),
            **faults,
            "unused": self.unused,
            "prompts": self.prompts,
            "lengths": self.lengths,
            "block": self.block,
        }


def inspect(path: Path, options: dict[str, Any], split: str | None = None) -> Inspection:
    """Read a file or folder as `fetch` would, and count.

    Args:
        path: of it.
        options: keys of the set's block other than its source and splits.
        split: of a folder; None takes the one there is, or train.

    Raises:
        DecantError: it cannot be read, or not be understood.
    """
    if not path.exists():
        raise DecantError(f"{path}: there is no such file or folder", "name a file or folder that exists")
    if path.is_file() and path.name.lower().endswith(TREC_SUFFIXES):
        return _inspect_trec(path)
    root, split = _split_of(path, options, split)
    settings = DataSet.model_validate({"source": f"path:{root}", "train": split, "test": 1, "task": TASK, **options})
    found = Inspection(path, split=split)
    source, lengths = Source(settings, root), {"queries": array("q"), "candidates": array("q")}
    records = _counted(source.records("train"), found)
    rows, found.faults = valid_rows(records, settings.duplicates, labelled=False, relevant_from=settings.relevant_from)
    for row in rows:
        _count(row, found, lengths)
    found.layout = source.layouts["train"]
    found.unused, found.prompts = source.unused.get("train", {}), source.prompts.get("train", {})
    found.lengths = {
        role: {"median": float(np.median(values)), "longest": max(values)} for role, values in lengths.items() if values
    }
    found.block = _block(root, split, options, found)
    found.notes = list(_notes(found))
    return found


def _counted(records: Iterator[tuple[str, Item]], found: Inspection) -> Iterator[tuple[str, Item]]:
    for place, item in records:
        if isinstance(item, Given):
            found.scores += sum(score is not None for score in item.scores)
            found.grades.update(grade for grade in item.grades or () if isinstance(grade, int))
        yield place, item


def _count(row: Row, found: Inspection, lengths: "Mapping[str, array[int]]") -> None:
    found.queries += 1
    found.positives += len(row.positive)
    found.negatives += len(row.negative)
    found.candidates += len(row.unlabelled)
    found.ids += sum(map(bool, row.ids))
    lengths["queries"].append(len(row.query))
    lengths["candidates"].extend(map(len, row.candidates))
    if len(found.rows) < SHOWN:
        found.rows.append(row)


def _split_of(path: Path, options: dict[str, Any], split: str | None) -> tuple[Path, str]:
    """The source and its split: of a file its folder and its name."""
    if path.is_file():
        return path, path.name
    settings = DataSet.model_validate({"source": f"path:{path}", "train": "train", "test": 1, "task": TASK, **options})
    if format_of(settings, path, split or "", repository=False) == "beir":
        names = beir.splits(path)
        return path, split or next((name for name in ("train", *names) if name in names), "test")
    if split is not None:
        return path, split
    files = sorted(file.name for file in path.iterdir() if file.is_file() and not file.name.startswith((".", "_")))
    for name in ("train", GPL, "dev", "test"):
        if matches := [file for file in files if file.partition(".")[0] == name]:
            return path, matches[0]
    return path.parent, path.name  # a folder of shards


def _inspect_trec(path: Path) -> Inspection:
    """Count a file of qrels or a run, which name texts by ids alone."""
    found = Inspection(path)
    try:
        run = trec.read_run(path)
    except DecantError:
        qrels, faults = trec.read_qrels(path)
        if not qrels or len(faults) > len(qrels):
            raise
        found.layout, found.queries = "trec-qrels", len(qrels)
        for _, fault in faults:
            found.faults.add("unreadable", str(path), fault.fault)
        for judged in qrels.values():
            found.grades.update(judged.values())
        found.positives = sum(count for grade, count in found.grades.items() if grade > 0)
        found.negatives = found.grades.total() - found.positives
        found.notes = [
            "qrels name texts by ids: set `test` (or `train`) to this file, in the block of a set with a corpus"
        ]
    else:
        found.layout, found.queries = "trec-run", len(run)
        found.candidates = found.scores = sum(map(len, run.values()))
        found.notes = [
            "a run names texts by ids: set `candidates: run` and `run` to this file, in the block of a set; "
            f"`decant import TRACK {path}` takes its scores as the teacher's"
        ]
    return found


def _block(root: Path, split: str, options: dict[str, Any], found: Inspection) -> dict[str, Any]:
    """A block for params.yaml that `fetch` takes as it is, once the files that it names are there."""
    own = Path("data/own").resolve()
    folder = root.parent if root.is_file() else root
    named = (
        f"path:data/own{'' if folder.resolve() == own else '/' + str(folder.resolve().relative_to(own))}"
        if (folder.resolve().is_relative_to(own))
        else f"path:{folder.resolve()}"
    )
    settings = {"source": named, **options, "train": split, **_other_splits(root, split, found), "task": TASK}
    if _ranks_positives_alone(found):
        settings.setdefault("candidates", "bm25")
    if found.faults.counts["duplicate_query"]:
        settings["duplicates"] = "merge"
    if found.faults.total - found.faults.counts["duplicate_query"]:
        settings["faults"] = "drop"
    return settings


def _other_splits(root: Path, split: str, found: Inspection) -> dict[str, str | int]:
    """Dev and test for the block: what lies beside train, else a number to carve.

    Train rows without labels or negatives cannot be carved, so the block then names files that are still to be written.
    """
    if found.layout == "beir":
        beside = {name: name for name in beir.splits(root) if name != split}
    else:
        folder = root.parent if root.is_file() else root
        files = [path.name for path in sorted(folder.iterdir()) if path.is_file() and split.startswith("train.")]
        beside = {name.partition(".")[0]: name for name in files}
    named: dict[str, str | int] = {name: beside[name] for name in ("dev", "test") if name in beside}
    if found.negatives or _ranks_positives_alone(found):
        return {"test": max(1, min(LIMIT_OF_TEST, found.queries // 5)), **named}
    return {"dev": DEV, "test": TEST, **named}


def _ranks_positives_alone(found: Inspection) -> bool:
    """Whether a set with qrels, which name relevant documents alone, needs other candidates."""
    return found.layout in ("beir", "mteb") and bool(found.positives) and not found.negatives


def _notes(found: Inspection) -> Iterator[str]:
    if found.scores:
        yield f"{found.scores} scores came along: `decant import TRACK {found.path}` takes them as the teacher's"
    if _ranks_positives_alone(found):
        yield "all judged documents are relevant: the block ranks BM25's best with them (`candidates`, `top_k`)"
    elif found.candidates and not found.positives:
        yield f"the candidates have no labels: the teacher's scores stand in for them in training; {LABELLED}"
    elif not found.positives:
        yield f"the rows are queries alone: set the track's `mine` to {{method: bm25}} to search a corpus; {LABELLED}"
    elif not found.negatives:
        yield f"the rows have no negatives: set the track's `mine` to {{method: bm25}} to mine them; {LABELLED}"
    one = len(found.prompts) == 1
    for prompt, count in found.prompts.items():
        used = "a bi-encoder that teaches gets it where it has none of its own" if one else "it is not used"
        if prompt:
            yield f"{count} rows came with the query prompt {prompt!r}; {used}"
