"""How processes begin and end: exit codes and messages, signals, and children that must not outlive their parent."""

import errno
import os
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from decant.errors import DecantError

NO_TRACEBACK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM."""

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.signum = signum


def run_main(name: str, main: Callable[[], None], advice: str = "") -> NoReturn:
    """Run a command's main function and exit: 0, 1 with a message, or 130/143 when interrupted.

    The message begins with the command's name and ends with the advice. What is no DecantError keeps its traceback.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    message, code = "", 0
    try:
        main()
        sys.stdout.flush()
    except DecantError as error:
        message, code = str(error), 1
    except Interrupted as interrupted:
        message, code = "interrupted; nothing half-written is left", 128 + interrupted.signum
    except BrokenPipeError:
        if not _unread():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush does not fail too
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        # Libraries wrap what the system said in errors of their own; its words stay.
        if not any(os.strerror(number) in str(error) for number in NO_TRACEBACK):
            raise
        message, code = f"{error}\n  → free some space, or mend the permissions, and run again", 1
    for signum in (signal.SIGINT, signal.SIGTERM):  # one that comes while the libraries close down changes nothing
        signal.signal(signum, signal.SIG_IGN)
    if code:
        print(f"\n{name}: {message}{advice}", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def _unread() -> bool:
    """Whether the output goes to a pipe that nobody reads any more, as when `head` has had its lines."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in output.poll(0))


def _interrupt(signum: int, _: FrameType | None) -> None:
    raise Interrupted(signum)


def end_with(parent: int) -> None:
    """End this process when its parent, as `os.getppid` gives it at the start, has ended, even if it was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
