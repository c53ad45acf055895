"""`decant plan`: what scoring a track would take."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from decant import paths
from decant.errors import DecantError
from decant.processes import run_main

if TYPE_CHECKING:
    from decant.score.work import Job


def plan(
    track: Annotated[str, typer.Argument(metavar="TRACK", help="one of the tracks in params.yaml")],
    corpus: Annotated[bool, typer.Option("--corpus", help="Of whole corpora, for `retrieve.TRACK.teacher`.")] = False,
) -> None:
    """Say what scoring a track takes: pairs, texts, tokens, and the time by a short sample. Nothing is written.

    Examples: decant plan embedding; decant plan embedding --corpus
    """

    def main() -> None:
        _spare_pandas()
        if corpus:
            from decant.params import load_params
            from decant.retrieve.settings import Retrieve
            from decant.retrieve.teachers import plan_corpora

            job, params = job_of(track), load_params(paths.PARAMS)
            settings = params.retrieve.get(track, Retrieve())
            plan_corpora(job, params.track(track).test_sets.values(), settings, params.seed, print)
            return
        from decant.score.plan import plan_track

        plan_track(job_of(track), paths.SCORES / track, print)

    run_main("decant plan", main)


class _NoPandas:
    """Among Python's finders, one that finds no pandas."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ImportError


def _spare_pandas() -> None:
    """Have pyarrow do without pandas, which it would import for a third of a second, to look for pandas' own types."""
    import pyarrow

    sys.meta_path.insert(0, _NoPandas)
    try:
        pyarrow.array([0])  # looks for pandas, and remembers that there is none
    finally:
        sys.meta_path.remove(_NoPandas)


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
