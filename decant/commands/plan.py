"""`decant plan`: what scoring a track would take."""

from typing import Annotated

import typer

from decant.processes import run_main


def plan(
    track: Annotated[str, typer.Argument(metavar="TRACK", help="one of the tracks in params.yaml")],
) -> None:
    """Say what scoring a track takes: pairs, texts, tokens, and the time by a short sample. Nothing is written.

    Example: decant plan embedding
    """

    def main() -> None:
        from decant import paths
        from decant.params import load_params
        from decant.score.plan import plan_track
        from decant.score.work import Job

        plan_track(Job.of(load_params(paths.PARAMS), known_track(track)), paths.SCORES / track, print)

    run_main("decant plan", main)


def known_track(track: str) -> str:
    """A track's name as it was typed.

    Raises:
        DecantError: there is no such track.
    """
    from decant.errors import DecantError
    from decant.kinds import TRACKS

    if track not in TRACKS:
        raise DecantError(f"no track is named {track!r}", f"choose {' or '.join(TRACKS)}")
    return track
