"""`decant import`: take in scores of a track's teacher that exist already."""

from pathlib import Path
from typing import Annotated

import typer

from decant.commands.plan import known_track
from decant.processes import run_main


def import_scores(
    track: Annotated[str, typer.Argument(metavar="TRACK", help="whose teacher made the scores")],
    file: Annotated[Path, typer.Argument(help="JSONL, CSV or Parquet: query, passage, score a row", metavar="FILE")],
) -> None:
    """Take the raw scores of a file into the score store, as those of the track's teacher.

    The stage `score` compares some of them with the teacher's own before it mixes the two.

    Example: decant import reranker scores.jsonl
    """

    def main() -> None:
        from decant import paths
        from decant.params import load_params
        from decant.score import run
        from decant.score.work import Job

        run.import_scores(Job.of(load_params(paths.PARAMS), known_track(track)), file, print)

    run_main("decant import", main)
