"""`decant plan`: what scoring a track would take."""

from typing import TYPE_CHECKING, Annotated

import typer

from decant import paths
from decant.errors import DecantError
from decant.processes import run_main

if TYPE_CHECKING:
    from decant.score.work import Job


def plan(
    track: Annotated[str, typer.Argument(metavar="TRACK", help="one of the tracks in params.yaml")],
) -> None:
    """Say what scoring a track takes: pairs, texts, tokens, and the time by a short sample. Nothing is written.

    Example: decant plan embedding
    """

    def main() -> None:
        from decant.score.plan import plan_track

        plan_track(job_of(track), paths.SCORES / track, print)

    run_main("decant plan", main)


def job_of(track: str) -> "Job":
    """What is to be scored for a track, named as it was typed.

    Raises:
        DecantError: there is no such track, or `mine` has made nothing for it yet.
    """
    from decant.kinds import TRACKS
    from decant.params import load_params
    from decant.score.work import Job

    if track not in TRACKS:
        raise DecantError(f"no track is named {track!r}", f"choose {' or '.join(TRACKS)}")
    return Job.of(load_params(paths.PARAMS), track)
