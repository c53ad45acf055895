"""What all stages share at their edges: the params, and how a failure is told."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from decant import paths, progress
from decant.errors import DecantError
from decant.kinds import TRACKS, Kind, kind_of
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


def model_of(params: Params, track: str, model: str) -> tuple[Kind, Any]:
    """A model of a track in memory, and its kind: `before`, `after`, `labels_only`, or the untouched `baseline`."""
    if model == "baseline":
        folder = model_folder(str(params.baselines.model), params.baselines.revision, None)
        return kind_of(folder), kind_of(folder).models.load(folder)
    kind, student = TRACKS[track], params.track(track).student
    if model == "before":
        return kind, kind.models.make_student(student, student_folder(student), params.seed)
    folder = paths.MODELS / (track if model == "after" else f"{track}-labels-only")
    return kind, kind.models.load(folder, trust_remote_code=student.trust_remote_code)


def run_track(stage: str, main: Callable[[str], None], description: str | None) -> NoReturn:
    """Run a stage's main function for the track that the command line names; see `run`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("track", choices=TRACKS)
    run(f"{stage}@{(track := parser.parse_args().track)}", lambda: main(track))


def run(stage: str, main: Callable[[], None]) -> NoReturn:
    """Run a stage, named by its address in dvc.yaml, and exit; messages say how to make its inputs and outputs."""

    def with_inputs() -> None:
        try:
            main()
            progress.note_duration(stage)
        except FileNotFoundError as error:
            if not paths.made_by_stages(str(error.filename)):
                raise
            raise DecantError(f"{error.filename} is not there", f"`dvc repro {stage}` makes it first") from error

    gone = "\n  Its earlier outputs, which DVC removes before a stage starts, come back with\n"
    advice = "" if stage == "check" else f"{gone}  `dvc checkout {stage}` and `git checkout -- metrics plots`."
    run_main(stage, with_inputs, advice)
