"""`decant export-run`: a model's run on a test set, or the set's qrels, for trec_eval and the tools around it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from decant.processes import run_main


def export_run(
    track: Annotated[str, typer.Argument(metavar="TRACK", help="A track of params.yaml.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="after, before, teacher, labels_only, baseline, bm25.")],
    domain: Annotated[str, typer.Option(help="The track's test set: in_domain or out_of_domain.")] = "in_domain",
    qrels: Annotated[bool, typer.Option("--qrels", help="Write the set's qrels in place of the run.")] = False,
    corpus: Annotated[bool, typer.Option("--corpus", help="Of the search of the set's corpus.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file; without it, print.", dir_okay=False)
    ] = None,
) -> None:
    """Write a model's run on a test set as a TREC run file, or the set's relevance judgements as TREC qrels.

    A text without an id gets a digest of its text as its id; docs/statistics.md says what trec_eval then gives.

    Example: decant export-run embedding after -o after.run
    """

    run_main("decant export-run", lambda: _write(_lines(track, model, domain, qrels, corpus), output))


def _lines(track: str, model: str, domain: str, qrels: bool, corpus: bool) -> list[str]:
    from decant import paths
    from decant.data.sets import read_split
    from decant.errors import DecantError
    from decant.evaluate.run import DOMAINS
    from decant.evaluate.trec import qrels_lines, read_ranked, retrieved_lines, retrieved_qrels, run_lines
    from decant.params import load_params
    from decant.report.comparison import NAMES

    params = load_params(paths.PARAMS)
    allowed = {"TRACK": (track, list(params.tracks)), "MODEL": (model, NAMES), "--domain": (domain, DOMAINS)}
    for name, (value, known) in allowed.items():
        if value not in known:
            raise DecantError(f"{name} {value}: there is none", f"choose one of {', '.join(known)}")
    dataset = getattr(params.track(track), domain)
    if dataset is None:
        raise DecantError(f"{track} has no {domain} set", "choose another --domain")
    tag, retrieved = f"{track}-{model}", paths.RETRIEVED / track / f"{model}.parquet"
    if corpus and not qrels:
        return list(retrieved_lines(retrieved, domain, tag))
    rows = read_split(paths.split(dataset, "test")).rows
    if corpus:
        return list(retrieved_qrels(retrieved, domain, rows))
    ranked = read_ranked(paths.RUNS / track / f"{model}.parquet", domain, rows)
    return list(qrels_lines(ranked.rows) if qrels else run_lines(ranked, tag))


def _write(lines: Iterable[str], output: Path | None) -> None:
    from decant.files import atomic_file

    if output is None:
        print(*lines, sep="\n")
        return
    with atomic_file(output) as partial:
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
