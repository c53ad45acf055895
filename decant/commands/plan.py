"""`decant plan`: what scoring a track would take."""

from typing import Annotated

import typer

from decant.kinds import TRACKS
from decant.processes import run_main


def plan(
    track: Annotated[str, typer.Argument(help=f"{' or '.join(TRACKS)}", metavar="TRACK")],
) -> None:
    """Say what scoring a track takes: pairs, texts, tokens, and the time by a short sample. Nothing is written.

    Example: decant plan embedding
    """

    def main() -> None:
        from decant import paths
        from decant.params import load_params
        from decant.score.plan import plan_track
        from decant.score.work import Job

        plan_track(Job.of(load_params(paths.PARAMS), one_of_tracks(track)), print)

    run_main("decant plan", main)


def one_of_tracks(track: str) -> str:
    """A track's name as it was typed.

    Raises:
        DecantError: there is no such track.
    """
    from decant.errors import DecantError

    if track not in TRACKS:
        raise DecantError(f"no track is named {track!r}", f"choose {' or '.join(TRACKS)}")
    return track
