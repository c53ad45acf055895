"""A run and its judgements in TREC's text formats, which trec_eval and the tools around it read.

A run has six columns: query id, `Q0`, document id, rank, score, tag. The judgements, called qrels, have four: query id,
`0`, document id, grade. White space separates columns, so it is percent-encoded in an id.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from decant.data.digests import trec_id
from decant.data.sets import Row
from decant.errors import DecantError


class RankedSet(NamedTuple):
    """The rows of a labelled split, and a model's scores of each row's candidates, in the order of `Row.candidates`."""

    rows: list[Row]
    scores: list[list[float]]


def read_ranked(run: Path, domain: str, rows: Sequence[Row]) -> RankedSet:
    """A model's scores of a test split, from the runs that `decant.evaluate.run.write_runs` wrote.

    Args:
        run: the file of the model's runs.
        domain: of the split.
        rows: of the split.

    Raises:
        DecantError: the file is not there, has no run of this domain, or is of another split.
    """
    if not run.is_file():
        raise DecantError(f"{run} is not there", f"`dvc pull {run}`, or `dvc repro {_stage(run)}`")
    ranked = [row for row in pq.read_table(run).to_pylist() if row["domain"] == domain]
    ranked = [row for row in ranked if row["dataset"] == ranked[0]["dataset"]]  # its parts stand behind it
    if not ranked:
        raise DecantError(
            f"{run} has no run on the {domain.replace('_', '-')} set", "choose another model: this baseline was off"
        )
    if len(ranked) != len(rows):
        raise _stale(run, f"it has {len(ranked)} queries, and the test split has {len(rows)}")
    for number, (found, row) in enumerate(zip(ranked, rows, strict=True), start=1):
        if found["query"] != row.query:
            raise _stale(run, f"query {number} is {found['query'][:60]!r}, and {row.query[:60]!r} in the split")
        if found["labels"] != row.labels or (found.get("gains") or row.labels) != row.gains:
            raise _stale(run, f"query {number}, {row.query[:60]!r}, has other labels or grades in the split")
    return RankedSet(list(rows), [found["scores"] for found in ranked])


def _stale(run: Path, reason: str) -> DecantError:
    return DecantError(f"{run} is not of the test split as it is now: {reason}", "`dvc repro` evaluates anew")


def _stage(run: Path) -> str:
    """The stage that writes a model's runs; a model without training is evaluated once for all tracks."""
    return f"evaluate_{run.stem}" + ("" if run.stem == "baseline" else f"@{run.parent.name}")


def run_lines(ranked: RankedSet, tag: str) -> Iterator[str]:
    """The lines of a run, each query's best document first.

    Equal scores are in the descending order of their document ids' bytes. trec_eval, which disregards ranks, orders
    them so too. A score is written with the digits that tell it from every other float32.

    Raises:
        DecantError: an id occurs twice; see `identified`.
    """
    for (query, documents), scores in zip(identified(ranked.rows), ranked.scores, strict=True):
        yield from _query_lines(query, documents, scores, tag)


def retrieved_lines(path: Path, domain: str, tag: str) -> Iterator[str]:
    """The lines of a run over a whole corpus, from the rankings that the stage `retrieve` wrote; see `run_lines`.

    Raises:
        DecantError: the file is not there, or has nothing of this domain; a ranking has two documents of one id.
    """
    for row in _retrieved(path, domain):
        if twice := _repeated(row["documents"]):
            raise _two_documents(twice, row["query"])
        yield from _query_lines(row["query_id"], row["documents"], row["scores"], tag)


def retrieved_qrels(path: Path, domain: str, rows: Sequence[Row]) -> Iterator[str]:
    """The judgements of the queries that were searched with, which may be some of a test split's; see `qrels_lines`.

    Raises:
        DecantError: as `retrieved_lines`; or a query is none of the split's.
    """
    asked = {row["query_id"] for row in _retrieved(path, domain)}
    judged = [row for row in rows if trec_id(row.query_id, row.query) in asked]
    if len(judged) < len(asked):
        raise _stale(path, f"{len(asked) - len(judged)} of its queries are not there")
    return qrels_lines(judged)


def _retrieved(path: Path, domain: str) -> list[dict[str, Any]]:
    if not path.is_file():
        remedy = f"name {path.parent.name} in `retrieve`, and `dvc repro retrieve@{path.parent.name}`"
        raise DecantError(f"{path} is not there: no corpus was searched with this model", remedy)
    ranked = [row for row in pq.read_table(path).to_pylist() if row["domain"] == domain]
    if not ranked:
        raise DecantError(f"{path} has no ranking on the {domain.replace('_', '-')} set", "choose another --domain")
    return [row for row in ranked if row["dataset"] == ranked[0]["dataset"]]  # shortened embeddings' stand behind it


def _query_lines(query: str, documents: Sequence[str], scores: Sequence[float], tag: str) -> Iterator[str]:
    order = sorted(zip(scores, documents, strict=True), key=lambda pair: (pair[0], pair[1].encode()), reverse=True)
    for rank, (score, document) in enumerate(order, start=1):
        yield f"{query} Q0 {document} {rank} {score:.9g} {tag}"


def qrels_lines(rows: Sequence[Row]) -> Iterator[str]:
    """The judgement of every candidate: its grade or, in a row without grades, 1 for a positive and 0 for a negative.

    Raises:
        DecantError: an id occurs twice; see `identified`.
    """
    for (query, documents), row in zip(identified(rows), rows, strict=True):
        for document, gain in zip(documents, row.gains, strict=True):
            yield f"{query} 0 {document} {gain}"


def identified(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """The id of each row's query, and those of its candidates; `text_id` gives one where the source gives none.

    Raises:
        DecantError: two rows, or two candidates of a row, have one id: they would count as one.
    """
    named = [(trec_id(row.query_id, row.query), _documents(row)) for row in rows]
    if twice := _repeated([query for query, _ in named]):
        raise DecantError(
            f"{twice} is the id of two rows' queries, which TREC's formats would take for one",
            "set the data set's `duplicates` to `merge`, or give each query an id of its own",
        )
    return named


def _documents(row: Row) -> list[str]:
    documents = [trec_id(*pair) for pair in zip(row.ids or [""] * len(row.candidates), row.candidates, strict=True)]
    if twice := _repeated(documents):
        raise _two_documents(twice, row.query)
    return documents


def _two_documents(identifier: str, query: str) -> DecantError:
    return DecantError(
        f"{identifier} is the id of two candidates of the query {query[:60]!r}",
        "give each document of the source an id of its own",
    )


def _repeated(ids: Sequence[str]) -> str | None:
    return next((name for name, count in Counter(ids).items() if count > 1), None)
