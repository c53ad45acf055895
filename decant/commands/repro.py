"""`decant repro`: DVC's own command, with the slow imports of all stages paid once."""

import os
import signal
import subprocess
import sys

import typer

from decant.preloaded import LIBRARIES, STAGES, preloaded_python


def repro(context: typer.Context) -> None:
    """Run `dvc repro`, all of whose options and targets it takes, with the imports of the stages paid once.

    Results are those of `dvc repro`. Beside a GPU, and on other systems than Linux, it is that and nothing more.

    Examples: decant repro; decant repro train@embedding --force
    """
    with preloaded_python(STAGES, LIBRARIES) as path:
        dvc = subprocess.Popen([sys.executable, "-m", "dvc", "repro", *context.args], env={**os.environ, "PATH": path})
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches DVC too, which ends its stage and then itself
        signal.signal(signal.SIGTERM, lambda *_: dvc.terminate())
        raise typer.Exit(dvc.wait())
