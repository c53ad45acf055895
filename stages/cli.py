"""What all stages share at their edges: paths, exit codes, and how a fault is told."""

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from decant import paths
from decant.errors import DecantError
from decant.params import Params, load_params

TRACKS = ("embedding", "reranker")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM.

    Args:
        signum: of the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.signum = signum


def params() -> Params:
    """The validated params.yaml."""
    return load_params(paths.PARAMS)


def run(stage: str, main: Callable[[], None]) -> NoReturn:
    """Run a stage's main function and exit: 0, 1 with a message, or 130/143 when interrupted.

    Args:
        stage: its address in dvc.yaml, for the message that says how to bring earlier outputs back; a command that
            is no stage has an option in its name, as in `evaluate --model`.
        main: which raises DecantError for what its user can mend.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        main()
    except DecantError as error:
        _fail(stage, str(error), 1)
    except Interrupted as interrupted:
        _fail(stage, "interrupted; nothing half-written is left", 128 + interrupted.signum)
    except FileNotFoundError as error:
        makes = f"`dvc repro {stage.partition(' --')[0]}` makes what the stage reads first"
        _fail(stage, f"{error}: there is no such file\n  → {makes}", 1)
    except Exception as error:
        # Libraries wrap what the system said in errors of their own; its words stay.
        if not any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)):
            raise
        _fail(stage, f"{error}\n  → free some space, or mend the permissions, and run again", 1)
    _done(0)


def _interrupt(signum: int, _: FrameType | None) -> None:
    raise Interrupted(signum)


def _fail(stage: str, message: str, code: int) -> NoReturn:
    print(f"\n{stage}: {message}", file=sys.stderr)
    if stage != "check" and " --" not in stage:  # with an option it is a command of its own, outside the pipeline
        print(
            "  Its earlier outputs, which DVC removes before a stage starts, come back with\n"
            f"  `dvc checkout {stage}` and `git checkout -- metrics plots`.",
            file=sys.stderr,
        )
    _done(code)


def _done(code: int) -> NoReturn:
    """End; a signal that comes while the libraries close down changes nothing any more."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
