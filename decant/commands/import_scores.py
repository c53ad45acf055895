"""`decant import`: take in scores of a track's teacher that exist already."""

from pathlib import Path
from typing import Annotated

import typer

from decant.commands.plan import job_of
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
        from decant.score.store.taking import take_file
        from decant.score.work import open_work

        with open_work(job_of(track), print) as work:
            splits = {name: (split.path, split.task) for name, split in work.splits.items()}
            counts = take_file(file, splits, work.prompts, work.stored)
        print(f"{track}: {counts['pairs']} pairs in {file}, {counts['new']} of them new to the store")
        for name, split in work.splits.items():
            print(f"{track} {name}: {counts[name]} of {len(split.positions)} pairs are in the file")

    run_main("decant import", main)
