"""`decant curve`: how many labelled queries are needed."""

from functools import partial
from typing import Annotated

import typer

from decant.processes import run_main


def curve(
    track: Annotated[str, typer.Option(help="Whose student is trained.")],
    sizes: Annotated[str | None, typer.Option(help="Train queries, joined by commas; else 100, 200, … all.")] = None,
    seeds: Annotated[str, typer.Option(help="Of training and of the queries drawn, joined by commas.")] = "0,1,2",
    labels_only: Annotated[bool, typer.Option(help="Train on labels alone as well, beside each student.")] = True,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Experiments at a time.")] = 1,
) -> None:
    """Train students on growing shares of the train split, in DVC's queue: what would more labelled queries bring?

    The teacher's scores are there already, so only training and evaluation run, unless the track adapts its teacher or
    mines with another's student, which each size and seed do anew. Killed at any point, the same command goes on.
    `dvc repro report` then shows the curve.

    Examples: decant curve --track embedding --jobs 2; decant curve --track reranker --sizes 200,400,800 --seeds 0
    """

    def main() -> None:
        import pyarrow.parquet as pq

        from decant import paths
        from decant.data.scores import rows_of
        from decant.errors import DecantError
        from decant.experiments.curve import LearningCurve, doublings
        from decant.kinds import TRACKS

        def numbers(name: str, listed: str) -> list[int]:
            try:
                found = [int(number) for number in listed.split(",")]
            except ValueError as error:
                raise DecantError(f"--{name} {listed}: not numbers", f"join them by commas: --{name} 0,1") from error
            if min(found) < 0 or len(set(found)) < len(found):
                raise DecantError(f"--{name} {listed}: give each once, none below 0", f"as --{name} 0,1")
            return found

        if track not in TRACKS:
            raise DecantError(f"--track {track}: there is no such track", f"choose {' or '.join(TRACKS)}")
        there = sum(map(len, rows_of(paths.SCORES / track, "train").values()))
        wanted = doublings(there) if sizes is None else numbers("sizes", sizes)
        if min(wanted) < 1 or max(wanted) > there:
            raise DecantError(
                f"--sizes {sizes}: the teacher has scored {there} train queries of {track}",
                f"name sizes from 1 to {there}",
            )
        if labels_only and "positive" not in pq.read_schema(paths.MINED / f"{track}.parquet").names:
            problem = f"the train queries of {track} have no labels, so there are no students of labels alone"
            raise DecantError(problem, "give --no-labels-only")
        LearningCurve(track, wanted, numbers("seeds", seeds), labels_only, jobs, partial(print, flush=True)).run(())

    run_main("decant curve", main)
