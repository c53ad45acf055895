"""One module a stage, run as `python -m stages.<stage>`."""

import os
import signal
import sys
from types import FrameType


def _interrupted_early(signum: int, _: FrameType | None) -> None:
    os.write(2, b"\ninterrupted while starting; nothing was written\n")
    os._exit(128 + signum)


# The heavy imports of a stage take seconds. Until `cli.run` takes over, Ctrl-C ends them without a traceback.
# One of a group of processes (`decant.train.distributed`) ends without a word: the process that started it has it.
if sys.argv[0] == "-m":
    in_group = "TORCHELASTIC_RUN_ID" in os.environ
    signal.signal(signal.SIGINT, signal.SIG_DFL if in_group else _interrupted_early)
    signal.signal(signal.SIGTERM, signal.SIG_DFL if in_group else _interrupted_early)
