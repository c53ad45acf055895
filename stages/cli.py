"""What all stages share at their edges: the params, and how a failure is told."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from decant import paths
from decant.errors import DecantError
from decant.kinds import TRACKS
from decant.models.settings import Student
from decant.params import Params, load_params
from decant.processes import run_main
from decant.sources.references import model_folder


def params() -> Params:
    """The validated params.yaml."""
    return load_params(paths.PARAMS)


def student_folder(student: Student) -> Path:
    """The model that a student is made of, on this machine."""
    return model_folder(student.model, student.revision, student.sha256, code=student.trust_remote_code)


def run_track(stage: str, main: Callable[[str], None], description: str | None) -> NoReturn:
    """Run a stage's main function for the track that the command line names; see `run`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("track", choices=TRACKS)
    track = parser.parse_args().track
    run(f"{stage}@{track}", lambda: main(track))


def run(stage: str, main: Callable[[], None]) -> NoReturn:
    """Run a stage, named by its address in dvc.yaml, and exit; messages say how to make its inputs and outputs."""

    def with_inputs() -> None:
        try:
            main()
        except FileNotFoundError as error:
            missing = Path(str(error.filename))
            if not any(missing.is_relative_to(folder) for folder in paths.MADE_BY_STAGES):
                raise
            raise DecantError(
                f"{missing}: there is no such file", f"`dvc repro {stage}` makes what the stage reads first"
            ) from error

    advice = (
        "\n  Its earlier outputs, which DVC removes before a stage starts, come back with\n"
        f"  `dvc checkout {stage}` and `git checkout -- metrics plots`."
    )
    run_main(stage, with_inputs, "" if stage == "check" else advice)
